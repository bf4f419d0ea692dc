package codec

import (
	"math/bits"
	"sort"

	"github.com/weirstor/weir/intercept/ident"
)

// Bounds of the index of earlier content.
const (
	bucketWays    = 4
	entryBytes    = 4
	minSubBlock   = 256
	maxSubBlock   = 4096
	minIndexBytes = 64 << 10
	slotSubBlocks = 1 << 12 // the address space of the index is given out in slots of so many sub-blocks
)

// index finds earlier content of a group by what it holds. The unit is the sub-block, a stretch of 256 to 4096 bytes
// of a volume at an address that is a multiple of its size: each has one entry of 4 bytes, its location and a tag, in
// the bucket that the largest gear hash within it names. Nothing else is stored: what an entry says is checked against
// the volume, and an entry whose content has changed since is only a miss.
//
// Invariant: an entry is never 0 when it is in use; location 0 is not given out.
type index struct {
	table   []uint32
	buckets uint64
	sub     int // bytes of a sub-block
	locBits uint
	slots   []slot
	first   map[slotKey]uint32 // slot number by what it covers
	scanned map[ident.VolumeID]int64
}

// slot is a stretch of a volume in the index's address space.
type slot struct {
	volume ident.VolumeID
	off    int64 // bytes
}

type slotKey struct {
	volume ident.VolumeID
	n      int64 // off / bytes of a slot
}

// newIndex returns an empty index of at most limit bytes for volumes of so many bytes together.
func newIndex(limit, volumeBytes int64) *index {
	entries := int64(1)
	for entries*2*entryBytes <= max(limit, minIndexBytes) {
		entries *= 2
	}
	sub := minSubBlock
	for sub < maxSubBlock && volumeBytes/int64(sub) > entries {
		sub *= 2
	}
	for entries > minIndexBytes/entryBytes && entries > 4*volumeBytes/int64(sub) {
		entries /= 2
	}
	x := &index{sub: sub, buckets: uint64(entries / bucketWays), table: make([]uint32, entries)}
	x.locBits = uint(max(bits.Len64(uint64(volumeBytes/int64(sub)+2*slotSubBlocks))+1, 20))
	x.slots = []slot{{off: -1}} // location 0 stays unused
	x.first = make(map[slotKey]uint32)
	x.scanned = make(map[ident.VolumeID]int64)
	return x
}

// fits reports whether volumes of so many bytes together can still be given locations.
func (x *index) fits(volumeBytes int64, volumes int) bool {
	slots := volumeBytes/int64(x.sub*slotSubBlocks) + int64(volumes) + 1
	return x.locBits < 32 && slots*slotSubBlocks < 1<<x.locBits
}

// location names the sub-block at off of volume v; false if the address space is used up.
func (x *index) location(v ident.VolumeID, off int64) (uint32, bool) {
	size := int64(x.sub) * slotSubBlocks
	k := slotKey{v, off / size}
	n, ok := x.first[k]
	if !ok {
		n = uint32(len(x.slots))
		if uint64(n+1)*slotSubBlocks > 1<<x.locBits {
			return 0, false
		}
		x.first[k] = n
		x.slots = append(x.slots, slot{v, k.n * size})
	}
	return n*slotSubBlocks + uint32(off%size/int64(x.sub)), true
}

// place is the inverse of location.
func (x *index) place(loc uint32) (ident.VolumeID, int64) {
	s := x.slots[loc/slotSubBlocks]
	return s.volume, s.off + int64(loc%slotSubBlocks)*int64(x.sub)
}

// slotOf returns the bucket and the tag of a gear hash.
func (x *index) slotOf(h uint64) (bucket []uint32, tag uint32) {
	h *= 0x9e3779b97f4a7c15
	h ^= h >> 29
	h *= 0xbf58476d1ce4e5b9
	at := h & (x.buckets - 1) * bucketWays
	return x.table[at : at+bucketWays : at+bucketWays], uint32(h>>32) >> x.locBits << x.locBits
}

// insert makes loc the latest entry for hash h.
func (x *index) insert(h uint64, loc uint32) {
	b, tag := x.slotOf(h)
	e := tag | loc
	for i, old := range b {
		if old == e || old == 0 || i == bucketWays-1 {
			copy(b[1:i+1], b[:i])
			b[0] = e
			return
		}
	}
}

// lookup appends to dst the locations that may hold content of hash h, the latest first.
func (x *index) lookup(h uint64, dst []uint32) []uint32 {
	b, tag := x.slotOf(h)
	mask := uint32(1)<<x.locBits - 1
	for _, e := range b {
		if e != 0 && e&^mask == tag {
			dst = append(dst, e&mask)
		}
	}
	return dst
}

// addition is an entry that becomes valid when its epoch is committed.
type addition struct {
	h   uint64
	loc uint32
}

// hash appends the entries of content, whole sub-blocks at off of volume v, to dst.
func (x *index) hash(dst []addition, v ident.VolumeID, off int64, content []byte) []addition {
	for ; len(content) >= x.sub; content, off = content[x.sub:], off+int64(x.sub) {
		h, _ := gearMax(content[:x.sub])
		if h == gearZero {
			continue
		}
		loc, ok := x.location(v, off)
		if !ok {
			return dst
		}
		dst = append(dst, addition{h, loc})
	}
	return dst
}

// volumesOf sorts volumes by ID, so that work that is spread over calls goes on in the same order.
func volumesOf(changes []VolumeChange) []*VolumeChange {
	vs := make([]*VolumeChange, len(changes))
	for i := range changes {
		vs[i] = &changes[i]
	}
	sort.Slice(vs, func(i, j int) bool { return string(vs[i].Volume.UUID[:]) < string(vs[j].Volume.UUID[:]) })
	return vs
}
