package clone

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/weirstor/weir/intercept/ident"
)

// What a caller may have to tell apart.
var (
	ErrSpec     = errors.New("clone can not be made so")
	ErrExists   = errors.New("clone exists already")
	ErrNotFound = errors.New("no such clone")
	ErrClosed   = errors.New("clones are closed")
)

const (
	specVersion  = 1
	specBytesMax = 4 << 20
	volumesMax   = 4096
)

// Spec describes a clone. It never changes.
type Spec struct {
	Version   int         `json:"version"`
	ID        ident.UUID  `json:"id"`
	Name      string      `json:"name"` // unique on this machine
	Group     string      `json:"group_name"`
	Point     ident.Point `json:"point"`
	PointName string      `json:"point_name,omitempty"`
	ReadOnly  bool        `json:"read_only"`
	Created   time.Time   `json:"created"`
	Volumes   []Volume    `json:"volumes"`
}

// Volume is a volume of a clone.
type Volume struct {
	ID        ident.VolumeID `json:"id"`
	Name      string         `json:"name"`
	Size      int64          `json:"size"`       // bytes
	BlockSize int            `json:"block_size"` // 512 or 4096
	// Place is the raw file or block device that takes the content; empty: a file beside the map. A file at Place must
	// not exist or be empty; a device is overwritten from its start on. It stays when the clone is deleted.
	Place string `json:"place,omitempty"`
}

// NamePattern is what names of clones look like: a name can be told from an end sequence and has no @.
const NamePattern = `^[a-z][a-z0-9._-]{0,63}$`

var namePattern = regexp.MustCompile(NamePattern)

// valid returns ErrSpec for what can not be.
func (s *Spec) valid() error {
	switch {
	case s.Version != specVersion:
		return fmt.Errorf("%w: version %d, this build knows %d", ErrSpec, s.Version, specVersion)
	case s.ID.IsZero() || s.Point.IsZero():
		return fmt.Errorf("%w: no ID or no point", ErrSpec)
	case !namePattern.MatchString(s.Name):
		return fmt.Errorf("%w: name %q: want a letter, then up to 63 of a-z, 0-9, dot, dash, underscore", ErrSpec, s.Name)
	case len(s.Volumes) == 0 || len(s.Volumes) > volumesMax:
		return fmt.Errorf("%w: %d volumes", ErrSpec, len(s.Volumes))
	}
	ids, names, places := map[ident.VolumeID]bool{}, map[string]bool{}, map[string]bool{}
	for _, v := range s.Volumes {
		switch {
		case v.ID.IsZero() || v.Name == "" || ids[v.ID] || names[v.Name]:
			return fmt.Errorf("%w: volume %q (%s) is nameless or listed twice", ErrSpec, v.Name, v.ID)
		case v.Size <= 0 || v.Size > sizeMax || v.BlockSize != 512 && v.BlockSize != 4096 || v.Size%int64(v.BlockSize) != 0:
			return fmt.Errorf("%w: volume %s of %d bytes in blocks of %d", ErrSpec, v.Name, v.Size, v.BlockSize)
		case v.Place != "" && (places[v.Place] || s.ReadOnly):
			return fmt.Errorf("%w: place %s is given twice, or to a clone that is not written to", ErrSpec, v.Place)
		}
		ids[v.ID], names[v.Name], places[v.Place] = true, true, true
	}
	return nil
}

// encode returns the content of the clone's description file.
func (s *Spec) encode() ([]byte, error) {
	b, err := json.MarshalIndent(s, "", "  ")
	return append(b, '\n'), err
}

func decodeSpec(b []byte) (*Spec, error) {
	var s Spec
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return nil, fmt.Errorf("%w: description: %w", ErrDamaged, err)
	}
	if err := s.valid(); err != nil {
		return nil, fmt.Errorf("%w: description: %w", ErrDamaged, err)
	}
	return &s, nil
}
