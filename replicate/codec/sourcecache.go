package codec

import "github.com/weirstor/weir/intercept/ident"

// How much old content a decoder keeps at hand for displaced copies. Such copies are often short and close together:
// reading each by itself costs more than the copy saves.
const (
	sourcePageBytes = 16 << 10
	sourcePages     = 64
)

// sourceCache is pages of the old content of the volumes of an epoch: a table without chains, a page that is read
// takes the place of the one that was there.
type sourceCache struct {
	pages [sourcePages]sourcePage
}

// sourcePage is sourcePageBytes of a volume from off on; valid says whether it holds anything.
type sourcePage struct {
	valid  bool
	volume ident.VolumeID
	off    int64
	data   []byte
}

// reset forgets everything and keeps the memory.
func (c *sourceCache) reset() {
	for i := range c.pages {
		c.pages[i].valid = false
	}
}

// read fills p with the content of a volume at off, as view has it.
func (c *sourceCache) read(view View, v ident.VolumeID, p []byte, off int64) error {
	for len(p) > 0 {
		at := off % sourcePageBytes
		n := min(int64(len(p)), sourcePageBytes-at)
		if n == sourcePageBytes {
			n = int64(len(p)) / sourcePageBytes * sourcePageBytes // whole pages need no help
			if err := view.ReadAt(p[:n], off); err != nil {
				return err
			}
		} else if page := c.page(view, v, off-at); page != nil {
			copy(p[:n], page[at:])
		} else if err := view.ReadAt(p[:n], off); err != nil {
			return err
		}
		p, off = p[n:], off+n
	}
	return nil
}

// page returns the page at off, nil if it can not be read: then what was asked for is to be read by itself, since the
// page may hold damage beside it.
func (c *sourceCache) page(view View, v ident.VolumeID, off int64) []byte {
	p := &c.pages[(uint64(off)/sourcePageBytes+uint64(v.UUID[0])*7)%sourcePages]
	if p.valid && p.off == off && p.volume == v {
		return p.data
	}
	if p.data == nil {
		p.data = make([]byte, sourcePageBytes)
	}
	p.valid = false
	if err := view.ReadAt(p.data, off); err != nil {
		return nil
	}
	p.valid, p.volume, p.off = true, v, off
	return p.data
}
