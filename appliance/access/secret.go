package access

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

const (
	keyFile = "key"
	keySize = 32 // bytes: AES-256
)

// ErrKey says that secrets can not be read with the key that is there.
var ErrKey = errors.New("the key of the access rules does not fit")

// openKey reads the key in dir, or makes it where no rules were ever set.
func openKey(dir string) (cipher.AEAD, error) {
	path := filepath.Join(dir, keyFile)
	key, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		if _, there := os.Stat(filepath.Join(dir, rulesFile)); there == nil {
			return nil, fmt.Errorf("%w: there are rules in %s and no key: bring %s back", ErrKey, dir, keyFile)
		}
		key, err = makeKey(dir, path)
	}
	if err != nil {
		return nil, fmt.Errorf("key of the access rules: %w", err)
	}
	if len(key) != keySize {
		return nil, fmt.Errorf("%w: %s has %d bytes, want %d", ErrKey, path, len(key), keySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// makeKey writes a new key; it is on stable storage on return.
func makeKey(dir, path string) ([]byte, error) {
	key := make([]byte, keySize)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	return key, replaceFile(dir, path, key)
}

// seal hides a secret; label binds it to its place, so that sealed secrets can not be exchanged.
func seal(a cipher.AEAD, label string, s Secret) ([]byte, error) {
	nonce := make([]byte, a.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return a.Seal(nonce, nonce, []byte(s), []byte(label)), nil
}

func unseal(a cipher.AEAD, label string, sealed []byte) (Secret, error) {
	if len(sealed) < a.NonceSize() {
		return "", fmt.Errorf("%w: a sealed secret has %d bytes", ErrKey, len(sealed))
	}
	s, err := a.Open(nil, sealed[:a.NonceSize()], sealed[a.NonceSize():], []byte(label))
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrKey, err)
	}
	return Secret(s), nil
}

// replaceFile writes path with mode 0600. What is there afterwards, even after a power loss, is all of b or what was
// there before.
func replaceFile(dir, path string, b []byte) error {
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
