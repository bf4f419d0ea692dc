package extent

import "github.com/weirstor/weir/intercept/wal"

// Entry says that [Off, Off+Len) of a volume is bytes [Delta, Delta+Len) of the payload of the record at Pos, or zero.
// 32 bytes, no pointers.
type Entry struct {
	Off     int64   // bytes
	Pos     wal.Pos // of the record; the higher one is the newer one
	Len     uint32  // bytes; above 0
	Delta   uint32  // bytes; 0 for zeroes
	Payload uint32  // bytes of the record's payload; 0: the range reads as zeroes
	Tag     uint8
}

// LenMax is the longest entry in bytes; a longer range is several entries.
const LenMax = 1 << 30

// End is the offset behind the entry.
func (e Entry) End() int64 { return e.Off + int64(e.Len) }

// Zero reports whether the range reads as zeroes.
func (e Entry) Zero() bool { return e.Payload == 0 }

// clip returns the part of e in [from, to), which overlaps it.
func (e Entry) clip(from, to int64) Entry {
	from, to = max(from, e.Off), min(to, e.End())
	if !e.Zero() {
		e.Delta += uint32(from - e.Off)
	}
	e.Off, e.Len = from, uint32(to-from)
	return e
}

// overlay appends to dst what e and old, the entries that overlap it in order, amount to: of two the newer one.
func overlay(dst []Entry, e Entry, old []Entry) []Entry {
	at, end := e.Off, e.End()
	var tail Entry
	for _, o := range old {
		if o.Pos > e.Pos {
			if at < o.Off {
				dst = append(dst, e.clip(at, o.Off))
			}
			dst = append(dst, o)
			at = o.End()
			continue
		}
		if o.Off < e.Off {
			dst = append(dst, o.clip(o.Off, e.Off))
		}
		if o.End() > end {
			tail = o.clip(end, o.End())
		}
	}
	if at < end {
		dst = append(dst, e.clip(at, end))
	}
	if tail.Len > 0 {
		dst = append(dst, tail)
	}
	return dst
}

// Map is what Active and Sealed have in common.
type Map interface {
	// Append appends to dst the entries that overlap [off, end), in order, clipped to it.
	Append(dst []Entry, off, end int64) []Entry
}

var (
	_ Map = (*Active)(nil)
	_ Map = (*Sealed)(nil)
)
