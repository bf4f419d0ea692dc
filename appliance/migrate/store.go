package migrate

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Store keeps one migration in a file.
type Store struct{ path string }

// NewStore keeps the migration in dir, which exists.
func NewStore(dir string) Store { return Store{filepath.Join(dir, "migration.json")} }

// Load returns the migration, nil if there never was one.
func (s Store) Load() (*Migration, error) {
	b, err := os.ReadFile(s.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("migration: %w", err)
	}
	var m Migration
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("migration: %s is damaged: %w", s.path, err)
	}
	return &m, nil
}

// Save replaces the migration; it is on stable storage on return.
func (s Store) Save(m *Migration) error {
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	next := s.path + ".new"
	if err := writeSynced(next, append(b, '\n')); err != nil {
		return fmt.Errorf("migration: %w", err)
	}
	if err := os.Rename(next, s.path); err != nil {
		return fmt.Errorf("migration: %w", err)
	}
	dir, err := os.Open(filepath.Dir(s.path))
	if err != nil {
		return fmt.Errorf("migration: %w", err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func writeSynced(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}
