package ext4

import (
	"encoding/binary"

	"github.com/weirstor/weir/classify/fs"
)

// overlay is a View with blocks of the journal in their places.
type overlay struct {
	r      fs.View
	block  int64
	places map[uint64]place
	groups map[uint64]bool // numbers of 64 blocks that hold a place, so that most reads need not look block by block
}

func newOverlay(f *FileSystem, places map[uint64]place) *overlay {
	o := &overlay{r: f.r, block: f.block, places: places, groups: map[uint64]bool{}}
	for b := range places {
		o.groups[b/64] = true
	}
	return o
}

// ReadAt implements fs.View.
func (o *overlay) ReadAt(p []byte, off int64) error {
	if err := o.r.ReadAt(p, off); err != nil {
		return err
	}
	for done := int64(0); done < int64(len(p)); {
		at := off + done
		block, in := uint64(at/o.block), at%o.block
		if !o.groups[block/64] {
			done += int64(block/64+1)*64*o.block - at
			continue
		}
		n := min(o.block-in, int64(len(p))-done)
		if pl, ok := o.places[block]; ok {
			if err := o.fill(p[done:done+n], pl, in); err != nil {
				return err
			}
		}
		done += n
	}
	return nil
}

// fill reads part of a block from the journal.
func (o *overlay) fill(p []byte, pl place, in int64) error {
	if err := o.r.ReadAt(p, pl.off+in); err != nil {
		return err
	}
	if pl.escaped && in < 4 {
		var magic [4]byte
		binary.BigEndian.PutUint32(magic[:], jbdMagic)
		copy(p, magic[in:])
	}
	return nil
}
