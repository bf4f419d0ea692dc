package xfs

import "github.com/weirstor/weir/classify/fs"

// tree walks a B+tree of an allocation group: pointers of 32 bits, relative to the group (struct xfs_btree_block,
// short form).
type tree struct {
	f     *FileSystem
	ag    uint64
	magic [2]string // version 5, version 4
	key   int       // bytes of a key in an inner block
	fuel  *fs.Fuel

	block func(fs.Span)                       // each block of the tree; may be nil
	leaf  func(b []byte, n int) (bool, error) // records of a leaf, behind its header; false ends the walk; may be nil
}

// header is the number of bytes before records and keys.
func (t *tree) header() int {
	if t.f.v5 {
		return 56
	}
	return 16
}

// walk visits the tree below a block; false means that leaf wants no more. A block that does not look like one of the
// tree is passed over.
func (t *tree) walk(block uint64, level int) (bool, error) {
	span := t.f.agSpan(t.ag, block, 1)
	if span.Len == 0 || level < 0 || level >= maxDepth || !t.fuel.Use(1) {
		return true, nil
	}
	b, err := t.f.read(span)
	if err != nil {
		return false, err
	}
	magic := t.magic[1]
	if t.f.v5 {
		magic = t.magic[0]
	}
	if string(b[:4]) != magic || int(be16(b, 4)) != level {
		return true, nil
	}
	if t.block != nil {
		t.block(span)
	}
	n, body := int(be16(b, 6)), b[t.header():]
	if level == 0 {
		if t.leaf == nil {
			return true, nil
		}
		return t.leaf(body, n)
	}
	most := len(body) / (t.key + 4)
	for i := range min(n, most) {
		if more, err := t.walk(uint64(be32(body, most*t.key+4*i)), level-1); !more || err != nil {
			return more, err
		}
	}
	return true, nil
}
