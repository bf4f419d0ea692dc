package wal

import (
	"errors"
	"fmt"
	"io"
	"time"
)

func (k Kind) String() string {
	switch k {
	case KindWrite:
		return "write"
	case KindZero:
		return "zero"
	case KindSeal:
		return "seal"
	case KindTable:
		return "table"
	case KindEnd:
		return "end"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Dump prints the segment in b, all of a segment file, for people: its header, then every record up to the first that
// does not check, and what is wrong with that.
func Dump(w io.Writer, b []byte) error {
	h, err := DecodeHeader(b)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "segment %d of group %s: %d bytes, incarnation %016x, made ready when %d was synced\n",
		h.Number, h.Group, h.Bytes, h.Incarnation, h.Synced)
	b = b[:min(int64(len(b)), h.Bytes)]
	seed := seedOf(h.Incarnation)
	for off := int64(PageBytes); off < int64(len(b)); {
		r, total, err := decodeRecord(b[off:], seed)
		switch {
		case errors.Is(err, errNoRecord) && off%PageBytes != 0:
			off = align(off, PageBytes)
			continue
		case errors.Is(err, errNoRecord):
			_, err = fmt.Fprintf(w, "%10d  no further record\n", off)
			return err
		case err != nil:
			_, err = fmt.Fprintf(w, "%10d  %v\n", off, err)
			return err
		}
		fmt.Fprintf(w, "%10d  %8d  %-5s  %s  synced %d\n", off, r.Seq, r.Kind, r.describe(), r.Synced)
		off += total
	}
	return nil
}

// describe is what a record says, by its kind.
func (r *Record) describe() string {
	switch r.Kind {
	case KindWrite:
		return fmt.Sprintf("volume %d  %d+%d  tag %02x", r.Volume, r.Off, r.Len, r.Tag)
	case KindZero:
		s := fmt.Sprintf("volume %d  %d+%d  tag %02x", r.Volume, r.Off, r.Len, r.Tag)
		if r.Flags&FlagTrim != 0 {
			s += "  trim"
		}
		if r.Flags&FlagNoHole != 0 {
			s += "  no hole"
		}
		return s
	case KindSeal:
		return fmt.Sprintf("name %q  %s", r.Payload, time.Unix(0, int64(r.Aux)).UTC().Format(time.RFC3339Nano))
	case KindEnd:
		return fmt.Sprintf("next segment %d, incarnation %016x", r.Aux, r.Aux2)
	}
	return fmt.Sprintf("%d bytes", len(r.Payload))
}
