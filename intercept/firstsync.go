package intercept

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/intercept/extent"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/todo"
)

// syncing is the volumes of which the provider does not have everything yet. Each epoch takes a piece of what is missing
// along; what no epoch took reads as zeroes in its views, on both sides.
type syncing struct {
	sync.Mutex
	volumes map[uint32]*firstSync
	budget  int64 // bytes of the next piece
}

// firstSync is one of them.
//
// Invariant: hidden is, of stored, the map at the highest end that is not above the last committed point.
type firstSync struct {
	number uint32
	id     ident.VolumeID
	hidden *todo.Map               // at the last committed point
	stored map[ident.Seq]*todo.Map // durable, by the end of their point
	layout *classify.Map           // where metadata lies; nil: not looked yet
	rate   float64                 // bytes per second that the provider got of late; 0: not measured yet
}

// piece is what one epoch takes along of one volume.
type piece struct {
	sync   *firstSync
	next   *todo.Map      // at the end of the epoch
	ranges *extent.Sealed // what is taken
	bytes  int64
}

// How large a piece is: what goes over in pieceTime, as far as that was measured.
const (
	pieceBytesMin = 32 << 20
	pieceBytesMax = 1 << 30
	pieceTime     = 4 * time.Second
)

const (
	todoPrefix = "todo-"
	todoSuffix = ".map"
)

func todoName(dir string, id ident.VolumeID, end ident.Seq) string {
	return filepath.Join(dir, fmt.Sprintf("%s%s-%d%s", todoPrefix, id, end, todoSuffix))
}

// any reports whether something is missing anywhere.
func (s *syncing) any() bool {
	s.Lock()
	defer s.Unlock()
	return len(s.volumes) > 0
}

func (s *syncing) find(number uint32) *firstSync {
	s.Lock()
	defer s.Unlock()
	return s.volumes[number]
}

func (s *syncing) putLocked(f *firstSync) {
	if s.volumes == nil {
		s.volumes = make(map[uint32]*firstSync)
	}
	s.volumes[f.number] = f
}

// files sets the names of the maps in keep.
func (s *syncing) files(dir string, keep map[string]bool) {
	s.Lock()
	defer s.Unlock()
	for _, f := range s.volumes {
		for end := range f.stored {
			keep[todoName(dir, f.id, end)] = true
		}
	}
}

// add begins to send what m says of a volume that is about to be made; durable on return.
func (s *syncing) add(g *Group, b *base, m *todo.Map) error {
	if err := g.storeTodo(b.id, 0, m); err != nil {
		return err
	}
	s.Lock()
	defer s.Unlock()
	s.putLocked(&firstSync{number: b.number, id: b.id, hidden: m, stored: map[ident.Seq]*todo.Map{0: m}})
	return nil
}

// storeTodo writes a map; durable on return.
func (g *Group) storeTodo(id ident.VolumeID, end ident.Seq, m *todo.Map) (err error) {
	name := todoName(g.dir, id, end)
	fs := g.opt.FS
	_ = fs.Remove(name + newSuffix) // left by a crash
	f, err := fs.Create(name + newSuffix)
	if err != nil {
		return fmt.Errorf("map of what is to do: %w", err)
	}
	if _, err = f.WriteAt(m.Encode(end), 0); err == nil {
		err = f.Datasync()
	}
	f.Close()
	if err == nil {
		err = fs.Rename(name+newSuffix, name)
	}
	if err == nil {
		err = fs.SyncDir(g.dir)
	}
	if err != nil {
		return fmt.Errorf("map of what is to do: %w", err)
	}
	return nil
}

// loadSyncs reads the maps of the volumes that are there.
func (g *Group) loadSyncs() error {
	names, err := g.opt.FS.List(g.dir)
	if err != nil {
		return fmt.Errorf("map of what is to do: %w", err)
	}
	for _, b := range g.volumes.bases {
		f := &firstSync{number: b.number, id: b.id, stored: make(map[ident.Seq]*todo.Map)}
		for _, name := range names {
			rest, ok := strings.CutPrefix(name, todoPrefix+b.id.String()+"-")
			number, whole := strings.CutSuffix(rest, todoSuffix)
			end, err := strconv.ParseUint(number, 10, 64)
			if !ok || !whole || err != nil {
				continue
			}
			if f.stored[ident.Seq(end)], err = g.loadTodo(filepath.Join(g.dir, name), ident.Seq(end)); err != nil {
				return err
			}
		}
		if len(f.stored) > 0 {
			g.syncing.putLocked(f)
		}
	}
	g.settleSyncs(g.settledEnd())
	return nil
}

func (g *Group) loadTodo(name string, end ident.Seq) (*todo.Map, error) {
	f, err := g.opt.FS.Open(name)
	if err != nil {
		return nil, fmt.Errorf("map of what is to do: %w", err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, fmt.Errorf("map of what is to do: %w", err)
	}
	b := make([]byte, size)
	if err := readFull(f, b, 0); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	m, at, err := todo.Decode(b)
	switch {
	case errors.Is(err, todo.ErrVersion):
		return nil, fmt.Errorf("%s: %w", name, err)
	case err == nil && at != end:
		err = fmt.Errorf("it is the map of the point that ends at %d", at)
	}
	if err != nil {
		return nil, &DamageError{Path: name, Err: err}
	}
	return m, nil
}

// storePieces makes durable what is missing once e is committed, and what was learned of the pieces.
func (g *Group) storePieces(e *Epoch) error {
	for number, p := range e.pieces {
		if err := g.base(number).leaves.Sync(); err != nil {
			g.log.Fail(err) // the destager's entries may be among those that are lost
			return err
		}
		if err := g.storeTodo(p.sync.id, e.end, p.next); err != nil {
			return err
		}
		g.syncing.Lock()
		p.sync.stored[e.end] = p.next
		g.syncing.Unlock()
	}
	return nil
}

// settleSyncs goes on to the maps of the point that ends at end, which is committed.
func (g *Group) settleSyncs(end ident.Seq) {
	s := &g.syncing
	s.Lock()
	defer s.Unlock()
	for number, f := range s.volumes {
		ends := slices.Sorted(maps.Keys(f.stored))
		last := -1
		for last+1 < len(ends) && ends[last+1] <= end {
			last++
		}
		if last < 0 {
			continue
		}
		f.hidden = f.stored[ends[last]]
		done := f.hidden.Bytes() == 0
		if done {
			last++
		}
		for _, old := range ends[:last] { // the newest last: each state on the way is right
			_ = g.opt.FS.Remove(todoName(g.dir, f.id, old)) // what stays is removed when the group is next opened
			delete(f.stored, old)
		}
		if done {
			delete(s.volumes, number)
			g.opt.Logger.Info("the provider has all of the volume", "group", g.id, "volume", f.id)
		}
	}
}

// forgetSync drops what was to do of a volume that is gone.
func (g *Group) forgetSync(b *base) {
	s := &g.syncing
	s.Lock()
	defer s.Unlock()
	f := s.volumes[b.number]
	if f == nil {
		return
	}
	delete(s.volumes, b.number)
	for end := range f.stored {
		_ = g.opt.FS.Remove(todoName(g.dir, f.id, end))
	}
}

// measure notes how long a committed epoch and its pieces took.
func (s *syncing) measure(e *Epoch) {
	s.Lock()
	defer s.Unlock()
	var total int64
	for _, p := range e.pieces {
		total += p.bytes
	}
	took := time.Since(e.taken).Seconds()
	if total == 0 || took <= 0 {
		return
	}
	for _, p := range e.pieces {
		rate := float64(p.bytes) / took
		if p.sync.rate > 0 {
			rate = 0.7*p.sync.rate + 0.3*rate
		}
		p.sync.rate = rate
	}
	s.budget = int64(float64(total) / took * pieceTime.Seconds())
}

// FirstSync is how far the first sending of a volume's content is.
type FirstSync struct {
	Total int64   // bytes of content when it began
	Left  int64   // of them
	Rate  float64 // bytes per second of late; 0: nothing was measured yet
}

// FirstSync returns how far the provider is with the content that the volume was made with; false when it has all of
// it. Safe for concurrent use.
func (v *Volume) FirstSync() (FirstSync, bool) {
	s := &v.group.syncing
	s.Lock()
	defer s.Unlock()
	f := s.volumes[v.number]
	if f == nil {
		return FirstSync{}, false
	}
	return FirstSync{Total: f.hidden.Total(), Left: f.hidden.Bytes(), Rate: f.rate}, true
}

// Image is the path of the image that was adopted as the volume's base; "" when the base is the group's own.
func (v *Volume) Image() string { return v.base.path }
