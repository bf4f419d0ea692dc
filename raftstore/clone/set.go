package clone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/vfs"
)

// Pins keep points in the cluster. Each is known by the ID of its clone.
type Pins interface {
	// Pin keeps the point until Unpin, whatever retention says. A pin that is there already is left as it is. It is
	// agreed on by the cluster when the call returns.
	Pin(ctx context.Context, id ident.UUID, p ident.Point, note string) error
	// Unpin ends a pin; one that is not there is success.
	Unpin(ctx context.Context, id ident.UUID) error
	// Pinned lists this machine's pins.
	Pinned(ctx context.Context) ([]ident.UUID, error)
}

// Options configure a Set. Dir, Pins and Base are needed.
type Options struct {
	Dir  string // folder of the descriptions, maps and contents
	Pins Pins
	Base func(p ident.Point, v Volume) Base // reads a volume at a point; it does not wait for anything

	FS     vfs.FS       // default: the operating system's
	Logger *slog.Logger // default: discard
	Now    func() time.Time
	Retry  time.Duration // between two tries to bring the pins in order; default 5 s
}

func (o *Options) fill() {
	if o.FS == nil {
		o.FS = vfs.OS{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Retry <= 0 {
		o.Retry = 5 * time.Second
	}
}

// Set is all clones of one machine. Safe for concurrent use.
type Set struct {
	opt    Options
	cancel context.CancelFunc
	joined chan struct{}
	wake   chan struct{} // holds one: pins may be out of order

	changes sync.Mutex // one Create or Delete, or look at the pins, at a time

	mu     sync.Mutex
	clones []*Clone // by name
	closed bool
}

// Open opens the clones in opt.Dir, which it creates if absent. A clone that can not be served is listed with its error;
// what a crash left of one that was not made or not deleted completely is removed. It asks the cluster nothing.
func Open(opt Options) (*Set, error) {
	opt.fill()
	if opt.Dir == "" || opt.Pins == nil || opt.Base == nil {
		return nil, errors.New("clones: no folder, pins or base given")
	}
	s := &Set{opt: opt, joined: make(chan struct{}), wake: make(chan struct{}, 1)}
	if err := s.load(); err != nil {
		return nil, fmt.Errorf("clones: %w", err)
	}
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(context.Background())
	go s.keepPins(ctx)
	s.nudge()
	return s, nil
}

func (s *Set) files(id ident.UUID) files { return files{fs: s.opt.FS, dir: s.opt.Dir, id: id} }

func (s *Set) load() error {
	if err := s.opt.FS.MkdirAll(s.opt.Dir); err != nil {
		return err
	}
	if err := s.opt.FS.SyncDir(filepath.Dir(s.opt.Dir)); err != nil {
		return err
	}
	names, err := s.opt.FS.List(s.opt.Dir)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, name := range names {
		id, err := ident.ParseUUID(strings.TrimSuffix(name, specSuffix))
		if err != nil || !strings.HasSuffix(name, specSuffix) {
			continue
		}
		known[id.String()] = true
		s.insertLocked(s.loadOne(id))
	}
	for _, name := range names {
		id, _, _ := strings.Cut(name, ".")
		if _, err := ident.ParseUUID(id); err != nil || known[id] && !strings.HasSuffix(name, newMapSuffix) {
			continue
		}
		if err := removeFile(s.opt.FS, s.opt.Dir+"/"+name); err != nil {
			return err
		}
	}
	return s.opt.FS.SyncDir(s.opt.Dir)
}

// loadOne opens one clone; one that is damaged is kept with its error, and so is its pin.
func (s *Set) loadOne(id ident.UUID) *Clone {
	spec, err := loadSpec(s.files(id))
	if err != nil {
		spec = &Spec{ID: id, Name: "damaged-" + id.String()[:8]}
	}
	var c *Clone
	if err == nil {
		c, err = s.assemble(spec, s.files(id).open)
	}
	if err != nil {
		s.opt.Logger.Error("clone can not be served", "clone", spec.Name, "err", err)
		c = &Clone{spec: spec, err: err}
	}
	return c
}

func loadSpec(f files) (*Spec, error) {
	b, err := readSpec(f)
	if err != nil {
		return nil, fmt.Errorf("description %s: %w", f.spec(), err)
	}
	spec, err := decodeSpec(b)
	if err == nil && spec.ID != f.id {
		err = fmt.Errorf("%w: it is of clone %s", ErrDamaged, spec.ID)
	}
	if err != nil {
		return nil, fmt.Errorf("description %s: %w", f.spec(), err)
	}
	return spec, nil
}

func readSpec(f files) ([]byte, error) {
	file, err := f.fs.Open(f.spec())
	if err != nil {
		return nil, err
	}
	size, err := file.Size()
	if err == nil && size > specBytesMax {
		err = fmt.Errorf("%w: %d bytes", ErrDamaged, size)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	b, err := readAll(file)
	return b, errors.Join(err, file.Close())
}

// assemble makes the devices of a clone, each over what overlayOf returns.
func (s *Set) assemble(spec *Spec, overlayOf func(*Volume, Base) (*overlay, error)) (*Clone, error) {
	c := &Clone{spec: spec}
	for i := range spec.Volumes {
		v := &spec.Volumes[i]
		d := &Device{name: v.Name + "@" + spec.Name, clone: spec.ID, spec: *v, base: s.opt.Base(spec.Point, *v)}
		if !spec.ReadOnly {
			var err error
			if d.over, err = overlayOf(v, d.base); err != nil {
				return nil, errors.Join(fmt.Errorf("volume %s: %w", v.Name, err), c.close())
			}
		}
		c.devices = append(c.devices, d)
	}
	return c, nil
}

func (s *Set) insertLocked(c *Clone) {
	s.clones = append(s.clones, c)
	slices.SortFunc(s.clones, func(a, b *Clone) int { return strings.Compare(a.spec.Name, b.spec.Name) })
}

// Create makes a clone and serves it: no content is copied. ID, Version and Created of the spec are set here. The point
// is pinned before; the clone is on stable storage on return. An empty name is filled in.
func (s *Set) Create(ctx context.Context, spec Spec) (*Clone, error) {
	s.changes.Lock()
	defer s.changes.Unlock()
	spec.ID, spec.Version, spec.Created = ident.NewUUID(), specVersion, s.opt.Now().UTC()
	spec.Volumes = slices.Clone(spec.Volumes)
	if spec.Name == "" {
		spec.Name = s.freeName()
	}
	if err := s.check(&spec); err != nil {
		return nil, err
	}
	if err := s.opt.Pins.Pin(ctx, spec.ID, spec.Point, note(&spec)); err != nil {
		return nil, fmt.Errorf("pin the point of clone %s: %w", spec.Name, err)
	}
	c, err := s.make(&spec)
	if err != nil {
		s.nudge() // the pin goes
		return nil, fmt.Errorf("make clone %s: %w", spec.Name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.insertLocked(c)
	return c, nil
}

func (s *Set) check(spec *Spec) error {
	if err := spec.valid(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	for _, c := range s.clones {
		if c.spec.Name == spec.Name {
			return fmt.Errorf("%w: %s, of point %s", ErrExists, spec.Name, c.spec.Point)
		}
		for _, v := range c.spec.Volumes {
			for _, w := range spec.Volumes {
				if v.Place != "" && v.Place == w.Place {
					return fmt.Errorf("%w: %s belongs to clone %s", ErrExists, v.Place, c.spec.Name)
				}
			}
		}
	}
	return nil
}

// freeName returns the first of clone-1, clone-2, … that is free.
func (s *Set) freeName() string {
	for i := 1; ; i++ {
		if name := fmt.Sprintf("clone-%d", i); s.Find(name) == nil {
			return name
		}
	}
}

// make makes the files of a clone. The description comes last: without it there is no clone.
func (s *Set) make(spec *Spec) (*Clone, error) {
	f := s.files(spec.ID)
	c, err := s.assemble(spec, f.create)
	if err != nil {
		return nil, errors.Join(err, s.remove(spec))
	}
	b, err := spec.encode()
	if err == nil {
		err = writeFile(s.opt.FS, f.spec(), b)
	}
	if err != nil {
		return nil, errors.Join(err, c.close(), s.remove(spec))
	}
	return c, nil
}

// writeFile writes a file that a crash leaves whole or not at all. It is durable on return, and so are the names of all
// files in its folder.
func writeFile(fsys vfs.FS, name string, b []byte) error {
	temp := name + newMapSuffix
	if err := removeFile(fsys, temp); err != nil {
		return err
	}
	f, err := fsys.Create(temp)
	if err != nil {
		return err
	}
	if _, err = f.WriteAt(b, 0); err == nil {
		err = f.Datasync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fsys.SyncDir(filepath.Dir(name)); err != nil {
		return err
	}
	if err := fsys.Rename(temp, name); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(name))
}

// remove removes all files of a clone, its description first.
func (s *Set) remove(spec *Spec) error {
	f := s.files(spec.ID)
	err := errors.Join(removeFile(s.opt.FS, f.spec()), removeFile(s.opt.FS, f.spec()+newMapSuffix))
	if err == nil {
		err = s.opt.FS.SyncDir(s.opt.Dir)
	}
	if err != nil {
		return err
	}
	for i := range spec.Volumes {
		err = errors.Join(err, f.remove(&spec.Volumes[i]))
	}
	return errors.Join(err, s.opt.FS.SyncDir(s.opt.Dir))
}

// Fill copies the point into every volume of a clone (Device.Fill), and gives up the pin of the point.
func (s *Set) Fill(ctx context.Context, name string, done func(volume string, bytes, size int64)) error {
	c := s.Find(name)
	if c == nil {
		return fmt.Errorf("%w: %s", ErrNotFound, name)
	}
	if c.err != nil {
		return fmt.Errorf("clone %s can not be filled: %w", name, c.err)
	}
	for _, d := range c.devices {
		report := func(bytes, size int64) {
			if done != nil {
				done(d.spec.Name, bytes, size)
			}
		}
		if err := d.Fill(ctx, report); err != nil {
			return err
		}
	}
	s.nudge()
	return nil
}

// Delete removes a clone with all that was written to it; its devices answer target.ErrClosed. What was given as Place
// stays. The pin of the point is released soon after, also when the cluster can not be reached now.
func (s *Set) Delete(name string) error {
	s.changes.Lock()
	defer s.changes.Unlock()
	c := s.Find(name)
	if c == nil {
		return fmt.Errorf("%w: %s", ErrNotFound, name)
	}
	if err := c.close(); err != nil {
		s.opt.Logger.Warn("closing a clone that is deleted", "clone", name, "err", err)
	}
	if err := s.remove(c.spec); err != nil {
		return fmt.Errorf("delete clone %s: %w", name, err)
	}
	s.mu.Lock()
	s.clones = slices.DeleteFunc(s.clones, func(x *Clone) bool { return x == c })
	s.mu.Unlock()
	s.nudge()
	return nil
}

// Find returns a clone by name, nil if there is none.
func (s *Set) Find(name string) *Clone {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.clones {
		if c.spec.Name == name {
			return c
		}
	}
	return nil
}

// List returns all clones by name.
func (s *Set) List() []*Clone {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.clones)
}

// Close flushes and closes all clones; they are served again by the next Open.
func (s *Set) Close() error {
	s.cancel()
	<-s.joined
	s.changes.Lock()
	defer s.changes.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	var errs []error
	for _, c := range s.clones {
		if err := c.close(); err != nil {
			errs = append(errs, fmt.Errorf("clone %s: %w", c.spec.Name, err))
		}
	}
	s.clones = nil
	return errors.Join(errs...)
}
