package intercept

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirstor/weir/intercept/extent"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/wal"
)

// layer is what one interval of the log wrote. While it is the newest it takes inserts; sealing ends the interval, and
// when the last write of it is complete its maps become sorted arrays.
type layer struct {
	first  ident.Seq // of the interval
	start  wal.Pos   // no record of the interval lies before
	before *table    // the volume table at its beginning

	mu      sync.Mutex // guards growing volumes
	volumes atomic.Pointer[[]*layerVolume]

	// The end of the interval, set under the log's lock and Group.stacks; end is 0 before.
	end      ident.Seq
	endPos   wal.Pos
	after    *table // the volume table at its end
	name     string // of the point; "" unnamed
	sealedAt time.Time
	oldest   time.Time // when the first epoch that was merged into this one was sealed

	merged   bool        // of several; set before others see it
	complete atomic.Bool // every write is in, and the maps are sealed
	handed   atomic.Bool // Next has given it away
	busy     bool        // the destager is at it; guarded by Group.stacks
}

// layerVolume is what a layer wrote to one volume. One of active and sealed is set.
type layerVolume struct {
	active    atomic.Pointer[extent.Active]
	sealed    atomic.Pointer[extent.Sealed]
	hostBytes atomic.Int64
}

func newLayer(first ident.Seq, start wal.Pos, before *table) *layer {
	l := &layer{first: first, start: start, before: before}
	l.volumes.Store(&[]*layerVolume{})
	return l
}

// volume returns what the layer wrote to a volume; nil if nothing.
func (l *layer) volume(number uint32) *layerVolume {
	list := *l.volumes.Load()
	if int(number) >= len(list) {
		return nil
	}
	return list[number]
}

// writable returns where inserts for a volume go.
func (l *layer) writable(number uint32) *layerVolume {
	if v := l.volume(number); v != nil {
		return v
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if v := l.volume(number); v != nil {
		return v
	}
	list := make([]*layerVolume, max(int(number)+1, len(*l.volumes.Load())))
	copy(list, *l.volumes.Load())
	v := new(layerVolume)
	v.active.Store(extent.NewActive())
	list[number] = v
	l.volumes.Store(&list)
	return v
}

// get returns the map of v as it is now.
func (v *layerVolume) get() extent.Map {
	if s := v.sealed.Load(); s != nil {
		return s
	}
	if a := v.active.Load(); a != nil {
		return a
	}
	return v.sealed.Load()
}

// finish turns the maps of a layer into sorted arrays. Every write of the interval is in.
func (l *layer) finish() {
	for _, v := range *l.volumes.Load() {
		if v != nil {
			v.sealed.Store(v.active.Load().Seal())
			v.active.Store(nil)
		}
	}
	l.complete.Store(true)
}

// sealed returns the sorted array of a volume in a complete layer; an empty one if it wrote nothing.
func (l *layer) sealed(number uint32) *extent.Sealed {
	if v := l.volume(number); v != nil {
		return v.sealed.Load()
	}
	return new(extent.Sealed)
}

// mergeLayers returns one layer for complete layers that follow each other, the oldest first.
func mergeLayers(run []*layer) *layer {
	if len(run) == 1 {
		return run[0]
	}
	first, last := run[0], run[len(run)-1]
	m := newLayer(first.first, first.start, first.before)
	m.end, m.endPos, m.after = last.end, last.endPos, last.after
	m.merged = true
	m.name, m.sealedAt, m.oldest = last.name, last.sealedAt, first.oldest
	width := 0
	for _, l := range run {
		width = max(width, len(*l.volumes.Load()))
	}
	list := make([]*layerVolume, width)
	for number := range list {
		merged := new(extent.Sealed)
		var host int64
		for _, l := range run {
			if v := l.volume(uint32(number)); v != nil {
				merged = extent.Merge(v.sealed.Load(), merged)
				host += v.hostBytes.Load()
			}
		}
		v := new(layerVolume)
		v.sealed.Store(merged)
		v.hostBytes.Store(host)
		list[number] = v
	}
	m.volumes.Store(&list)
	m.complete.Store(true)
	return m
}

// len is the number of entries of a complete layer.
func (l *layer) len() int {
	n := 0
	for _, v := range *l.volumes.Load() {
		if v != nil {
			n += v.sealed.Load().Len()
		}
	}
	return n
}
