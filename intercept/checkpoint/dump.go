package checkpoint

import (
	"fmt"
	"io"
)

// Dump prints the checkpoint file in b for people: the valid states, and what is wrong with a slot that is not valid.
func Dump(w io.Writer, b []byte) error {
	for slot := range 2 {
		from := min(slot*SlotBytes, len(b))
		s, err := DecodeSlot(b[from:min(from+SlotBytes, len(b))])
		if err != nil {
			fmt.Fprintf(w, "slot %d: %v\n", slot, err)
			continue
		}
		fmt.Fprintf(w, "slot %d: generation %d\n", slot, s.Generation)
		s.dump(w)
	}
	return nil
}

func (s *State) dump(w io.Writer) {
	fmt.Fprintf(w, "  group %s, timeline %s, segments of %d bytes\n", s.Group, s.Timeline, s.SegmentBytes)
	fmt.Fprintf(w, "  the log begins with record %d at position %d; synced up to %d\n", s.Start.Seq, s.Start.Pos, s.Start.Synced)
	for _, c := range s.Start.Cuts {
		fmt.Fprintf(w, "  segment %d was ended at %d; record %d is in segment %d\n", c.Segment, c.End, c.Seq, c.Next)
	}
	fmt.Fprintf(w, "  committed %s\n", s.Committed)
	if s.Sent != nil {
		fmt.Fprintf(w, "  sent, outcome not known: %s, from record %d on\n", s.Sent.Point, s.Sent.First)
	}
	for _, h := range s.Shadows {
		fmt.Fprintf(w, "  shadow %d keeps the state at %d %q, %d volumes\n", h.ID, h.End, h.Name, len(h.Volumes))
	}
	for i := range s.Volumes {
		v := &s.Volumes[i]
		fmt.Fprintf(w, "  volume %d %q: %s, %d bytes in blocks of %d, state %s\n", v.Number, v.Name, v.ID, v.Size,
			v.BlockSize, s.States[v.ID])
	}
}
