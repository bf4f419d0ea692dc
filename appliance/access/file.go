package access

import (
	"bytes"
	"crypto/cipher"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/weirstor/weir/intercept/ident"
)

const (
	rulesFile   = "rules.json"
	fileVersion = 1
)

// ErrDamaged says that the file of rules is not what was written. Nothing is opened then: a volume whose rules are not
// known must not be open to everybody.
var ErrDamaged = errors.New("access rules are damaged")

// fileForm is the file DATA/access/rules.json.
type fileForm struct {
	Version int          `json:"version"`
	Volumes []volumeForm `json:"volumes"`
}

type volumeForm struct {
	ID         ident.UUID `json:"id"`
	Name       string     `json:"name"` // when the rules were set, for people
	Initiators []Entry    `json:"initiators,omitempty"`
	Users      []userForm `json:"users,omitempty"`
	Mutual     *userForm  `json:"mutual,omitempty"`
	TLS        []Entry    `json:"tls,omitempty"`
	Hosts      []Entry    `json:"hosts,omitempty"`
	ReadOnly   bool       `json:"read_only,omitempty"`
	Sharing    bool       `json:"sharing,omitempty"`
	Revision   uint64     `json:"revision"`
}

type userForm struct {
	Name     string `json:"name"`
	ReadOnly bool   `json:"read_only,omitempty"`
	Sealed   []byte `json:"sealed"` // nonce, ciphertext and tag
}

// record is what is kept of one volume.
type record struct {
	name  string
	rules Rules
}

// load reads the rules in dir.
func load(dir string, key cipher.AEAD) (map[ident.UUID]record, error) {
	path := filepath.Join(dir, rulesFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return map[ident.UUID]record{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("access rules: %w", err)
	}
	records, err := decode(b, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return records, nil
}

// decode reads the content of a file of rules.
func decode(b []byte, key cipher.AEAD) (map[ident.UUID]record, error) {
	var f fileForm
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: more than one value", ErrDamaged)
	}
	if f.Version != fileVersion {
		return nil, fmt.Errorf("%w: version %d, want %d", ErrDamaged, f.Version, fileVersion)
	}
	records := make(map[ident.UUID]record)
	for _, v := range f.Volumes {
		r, err := v.rules(key)
		if err == nil {
			err = r.normalize()
		}
		if err != nil {
			return nil, fmt.Errorf("%w: volume %s: %w", ErrDamaged, v.Name, err)
		}
		if _, twice := records[v.ID]; twice || v.ID.IsZero() {
			return nil, fmt.Errorf("%w: volume %s has the id %s", ErrDamaged, v.Name, v.ID)
		}
		records[v.ID] = record{v.Name, r}
	}
	return records, nil
}

// label binds a sealed secret to its volume and user.
func label(id ident.UUID, direction, user string) string {
	return "weir access 1\x00" + id.String() + "\x00" + direction + "\x00" + user
}

func (v volumeForm) rules(key cipher.AEAD) (Rules, error) {
	r := Rules{Initiators: v.Initiators, TLS: v.TLS, Hosts: v.Hosts, ReadOnly: v.ReadOnly, Sharing: v.Sharing, Revision: v.Revision}
	for _, u := range v.Users {
		s, err := unseal(key, label(v.ID, "in", u.Name), u.Sealed)
		if err != nil {
			return r, fmt.Errorf("secret of user %s: %w", u.Name, err)
		}
		r.Users = append(r.Users, User{u.Name, u.ReadOnly, s})
	}
	if v.Mutual != nil {
		s, err := unseal(key, label(v.ID, "out", v.Mutual.Name), v.Mutual.Sealed)
		if err != nil {
			return r, fmt.Errorf("secret of the target: %w", err)
		}
		r.Mutual = &User{Name: v.Mutual.Name, Secret: s}
	}
	return r, nil
}

// save writes records; they are on stable storage on return.
func save(dir string, key cipher.AEAD, records map[ident.UUID]record) error {
	f := fileForm{Version: fileVersion}
	for _, id := range sortedIDs(records) {
		v, err := formOf(id, records[id], key)
		if err != nil {
			return err
		}
		f.Volumes = append(f.Volumes, v)
	}
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	if err := replaceFile(dir, filepath.Join(dir, rulesFile), append(b, '\n')); err != nil {
		return fmt.Errorf("access rules: %w", err)
	}
	return nil
}

func formOf(id ident.UUID, rec record, key cipher.AEAD) (volumeForm, error) {
	r := rec.rules
	v := volumeForm{ID: id, Name: rec.name, Initiators: r.Initiators, TLS: r.TLS, Hosts: r.Hosts, ReadOnly: r.ReadOnly,
		Sharing: r.Sharing, Revision: r.Revision}
	for _, u := range r.Users {
		s, err := seal(key, label(id, "in", u.Name), u.Secret)
		if err != nil {
			return v, err
		}
		v.Users = append(v.Users, userForm{u.Name, u.ReadOnly, s})
	}
	if r.Mutual != nil {
		s, err := seal(key, label(id, "out", r.Mutual.Name), r.Mutual.Secret)
		if err != nil {
			return v, err
		}
		v.Mutual = &userForm{Name: r.Mutual.Name, Sealed: s}
	}
	return v, nil
}
