package nbd

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/weirstor/weir/target"
)

const (
	maxDescriptors   = 4096            // in one reply; proto.md allows 2^20
	statusWindow     = int64(64 << 20) // bytes that a device is asked about at once
	statusWindows    = 256             // such questions for one request
	maxStatusPayload = 8 + 4*maxQueries
)

// allocation is base:allocation, from the Extents of a device.
type allocation struct {
	dev target.Device
}

func (a allocation) Status(off, n int64) ([]Status, error) {
	runs, err := a.dev.Extents(off, n)
	if err != nil {
		return nil, err
	}
	out := make([]Status, 0, len(runs))
	for _, e := range runs {
		out = append(out, Status{Len: e.Len, Flags: allocationFlags[min(int(e.Kind), len(allocationFlags)-1)]})
	}
	return out, nil
}

// allocationFlags by target.ExtentKind. The last stands for kinds not known here: a status of 0 is always true.
var allocationFlags = [...]uint32{
	target.Data: 0,
	target.Zero: uint32(stateZero),
	target.Hole: uint32(stateHole | stateZero),
	3:           0,
}

// statusQuery is a BLOCK_STATUS request with its payload read.
type statusQuery struct {
	off, n uint64
	one    bool     // one descriptor, not beyond the range
	ids    []uint32 // contexts asked for
}

// blockStatus serves BLOCK_STATUS: one chunk for each context; proto.md, "NBD_CMD_BLOCK_STATUS (7)".
func (c *conn) blockStatus(b []byte, r *request) []byte {
	q, err := c.statusQuery(r)
	if err != nil {
		return c.finish(b, r, err)
	}
	start := len(b)
	for i, id := range q.ids {
		runs, err := c.statusRuns(&c.contexts[id-1], q)
		if err != nil {
			return c.finish(b[:start], r, err)
		}
		flags := uint16(0)
		if i == len(q.ids)-1 {
			flags = replyFlagDone
		}
		b = c.style.appendStatus(b, r, flags, id, runs)
	}
	return b
}

// statusQuery reads what r asks for; ext-header, "NBD_CMD_BLOCK_STATUS", for the form with a payload.
func (c *conn) statusQuery(r *request) (statusQuery, error) {
	q := statusQuery{off: r.off, n: r.n, one: r.flags&cmdFlagReqOne != 0}
	if r.flags&cmdFlagPayloadLen == 0 {
		for i := range c.contexts {
			q.ids = append(q.ids, uint32(i+1))
		}
		return q, nil
	}
	if len(r.payload) < 12 || len(r.payload)%4 != 0 {
		return q, refuse(eINVAL, "block status with %d bytes of payload, want 8 and 4 for each context", len(r.payload))
	}
	q.n = binary.BigEndian.Uint64(r.payload)
	seen := make(map[uint32]bool)
	for p := r.payload[8:]; len(p) > 0; p = p[4:] {
		id := binary.BigEndian.Uint32(p)
		if id == 0 || uint64(id) > uint64(len(c.contexts)) || seen[id] {
			return q, refuse(eINVAL, "metadata context %d is unknown or named twice", id)
		}
		seen[id] = true
		q.ids = append(q.ids, id)
	}
	ranged := request{cmd: cmdBlockStatus, off: q.off, n: q.n}
	if why := c.checkRange(&ranged); why != nil {
		return q, why
	}
	return q, nil
}

// extent is a descriptor of a reply.
type extent struct {
	n     uint64
	flags uint32
}

// statusRuns collects the descriptors of one context, neighbours of one status merged, as far as bounds allow.
func (c *conn) statusRuns(m *metaContext, q statusQuery) ([]extent, error) {
	if m.from == nil {
		return nil, refuse(eINVAL, "metadata context %q is gone", m.name)
	}
	longest := uint64(math.MaxInt64)
	if c.style != extended {
		longest = 1<<32 - uint64(max(preferredBlock, c.block))
	}
	runs := make([]extent, 0, 8)
	off, end := int64(q.off), int64(q.off+q.n)
	for range statusWindows {
		found, err := m.from.Status(off, min(end-off, statusWindow))
		if err != nil {
			return nil, err
		}
		covered, more := addStatus(&runs, found, end-off, longest, q.one)
		if covered == 0 && more {
			return nil, fmt.Errorf("%w: metadata context %q says nothing about offset %d", target.ErrIO, m.name, off)
		}
		off += covered
		if !more || off >= end {
			break
		}
	}
	return runs, nil
}

// addStatus appends found to runs, up to most bytes. It returns how many bytes were taken and whether there is room
// for more.
func addStatus(runs *[]extent, found []Status, most int64, longest uint64, one bool) (covered int64, more bool) {
	for _, s := range found {
		n := min(s.Len, most-covered)
		if n <= 0 {
			break
		}
		last := len(*runs) - 1
		if last >= 0 && (*runs)[last].flags == s.Flags && (*runs)[last].n+uint64(n) <= longest {
			(*runs)[last].n += uint64(n)
		} else {
			if last >= 0 && one || last+1 >= maxDescriptors {
				return covered, false
			}
			*runs = append(*runs, extent{n: min(uint64(n), longest), flags: s.Flags})
		}
		covered += n
	}
	return covered, true
}

// appendStatus appends one chunk of descriptors; proto.md, "NBD_REPLY_TYPE_BLOCK_STATUS", and ext-header,
// "NBD_REPLY_TYPE_BLOCK_STATUS_EXT".
func (s style) appendStatus(b []byte, r *request, flags uint16, id uint32, runs []extent) []byte {
	if s == extended {
		b = s.appendChunk(b, r, flags, replyBlockStatusExt, 8+16*len(runs))
		b = binary.BigEndian.AppendUint32(b, id)
		b = binary.BigEndian.AppendUint32(b, uint32(len(runs)))
		for _, e := range runs {
			b = binary.BigEndian.AppendUint64(b, e.n)
			b = binary.BigEndian.AppendUint64(b, uint64(e.flags))
		}
		return b
	}
	b = s.appendChunk(b, r, flags, replyBlockStatus, 4+8*len(runs))
	b = binary.BigEndian.AppendUint32(b, id)
	for _, e := range runs {
		b = binary.BigEndian.AppendUint32(b, uint32(e.n))
		b = binary.BigEndian.AppendUint32(b, e.flags)
	}
	return b
}
