package intercept

import (
	"github.com/weirstor/weir/intercept/extent"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/target"
)

// extentsBaseMax bounds how much of the base one call of Extents looks at; what lies behind is called data.
const extentsBaseMax = 4 << 30

// extentList collects extents in address order, joining what has the same kind.
type extentList struct{ list []target.Extent }

func (l *extentList) add(off, n int64, kind target.ExtentKind) {
	if last := len(l.list) - 1; last >= 0 && l.list[last].Kind == kind {
		l.list[last].Len += n
		return
	}
	if n > 0 {
		l.list = append(l.list, target.Extent{Off: off, Len: n, Kind: kind})
	}
}

// Extents implements target.Device. Zeroed and discarded ranges are holes, and so are blocks of the base that its leaf
// table knows to be zero.
func (v *Volume) Extents(off, n int64) ([]target.Extent, error) {
	if err := v.check(off, n); err != nil || n == 0 {
		return nil, err
	}
	st := v.group.stacks.pin()
	defer v.group.stacks.unpin(st)
	w := extentWalk{volume: v, stack: st}
	if err := w.layer(len(st.layers)-1, off, off+n); err != nil {
		return nil, err
	}
	return w.out.list, nil
}

// extentWalk is one call of Extents.
type extentWalk struct {
	volume *Volume
	stack  *stack
	out    extentList
	looked int64 // bytes of the base
}

// layer describes [off, end) as layer i and those below it have it.
func (w *extentWalk) layer(i int, off, end int64) error {
	if i < 0 {
		return w.base(off, end)
	}
	written := w.stack.layers[i].volume(w.volume.number)
	if written == nil {
		return w.layer(i-1, off, end)
	}
	at := off
	for _, e := range written.get().Append([]extent.Entry(nil), off, end) {
		if at < e.Off {
			if err := w.layer(i-1, at, e.Off); err != nil {
				return err
			}
		}
		kind := target.Data
		if e.Zero() {
			kind = target.Hole
		}
		w.out.add(e.Off, int64(e.Len), kind)
		at = e.End()
	}
	if at < end {
		return w.layer(i-1, at, end)
	}
	return nil
}

// base describes [off, end) of the base.
func (w *extentWalk) base(off, end int64) error {
	var entries [512]leaf.Entry
	for off < end {
		if w.looked >= extentsBaseMax {
			w.out.add(off, end-off, target.Data)
			return nil
		}
		first := off / leaf.BlockSize
		last := min((end+leaf.BlockSize-1)/leaf.BlockSize, first+int64(len(entries)))
		if err := w.volume.base.leaves.Load(entries[:last-first], first); err != nil {
			return err
		}
		for _, e := range entries[:last-first] {
			stop := min(end, (off/leaf.BlockSize+1)*leaf.BlockSize)
			kind := target.Data
			if e.Known && e.Matches(0) {
				kind = target.Hole
			}
			w.out.add(off, stop-off, kind)
			w.looked += stop - off
			off = stop
		}
	}
	return nil
}
