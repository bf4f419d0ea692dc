package index

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/weirstor/weir/intercept/ident"
)

// The first byte of a key says what it is; docs/format-store.md has the table. Numbers in keys are big-endian.
const (
	keyFormat   = 'f' // format version and numbers given out
	keyPoint    = 'p' // group, number: a point
	keyIdentity = 'i' // group, timeline, end, digest: number of the point
	keyIntake   = 'w' // group: a point that is being written
	keySlot     = 'v' // volume, slot, ^number: a Slot
	keyChanged  = 'c' // volume, number, part: slots that a point changed
	keyPack     = 's' // pack: live and total blocks
)

const (
	slotPrefixBytes = 13 // of a keySlot without the number
	slotKeyBytes    = slotPrefixBytes + 8
)

// comparer orders keys by their bytes. What identifies a slot is the prefix by which filters are asked, so that a
// lookup in a slot never written reads no table.
var comparer = func() *pebble.Comparer {
	c := *pebble.DefaultComparer
	c.Name = "weir.index.1"
	c.Split = func(k []byte) int {
		if len(k) >= slotPrefixBytes && k[0] == keySlot {
			return slotPrefixBytes
		}
		return len(k)
	}
	return &c
}()

func appendSlotKey(b []byte, volume uint32, slot, number uint64) []byte {
	b = append(b, keySlot)
	b = binary.BigEndian.AppendUint32(b, volume)
	b = binary.BigEndian.AppendUint64(b, slot)
	return binary.BigEndian.AppendUint64(b, ^number)
}

func parseSlotKey(k []byte) (volume uint32, slot, number uint64, err error) {
	if len(k) != slotKeyBytes || k[0] != keySlot {
		return 0, 0, 0, fmt.Errorf("%w: %x is not the key of a slot", ErrDamaged, k)
	}
	return binary.BigEndian.Uint32(k[1:]), binary.BigEndian.Uint64(k[5:]), ^binary.BigEndian.Uint64(k[13:]), nil
}

func pointKey(g ident.GroupID, number uint64) []byte {
	return binary.BigEndian.AppendUint64(append([]byte{keyPoint}, g.UUID[:]...), number)
}

func identityKey(p ident.Point) []byte {
	b := append([]byte{keyIdentity}, p.Group.UUID[:]...)
	b = append(b, p.Timeline.UUID[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(p.End))
	return append(b, p.Digest[:]...)
}

func intakeKey(g ident.GroupID) []byte { return append([]byte{keyIntake}, g.UUID[:]...) }

func changedKey(volume uint32, number uint64, part uint32) []byte {
	b := binary.BigEndian.AppendUint32([]byte{keyChanged}, volume)
	b = binary.BigEndian.AppendUint64(b, number)
	return binary.BigEndian.AppendUint32(b, part)
}

func packKey(no uint32) []byte { return binary.BigEndian.AppendUint32([]byte{keyPack}, no) }

// after returns the first key behind all keys that begin with prefix.
func after(prefix []byte) []byte {
	b := bytes.Clone(prefix)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i]++; b[i] != 0 {
			return b[:i+1]
		}
	}
	return nil
}
