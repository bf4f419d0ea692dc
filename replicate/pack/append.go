package pack

import "encoding/binary"

// AppendHeader appends the header of a pack of the kind to b, for a pack that is written piece by piece.
func AppendHeader(b []byte, kind Kind) []byte {
	var head [HeaderBytes]byte
	putHeader(head[:], kind)
	return append(b, head[:]...)
}

// AppendFrame appends a frame to b. The payload must be at most MaxPayloadBytes long; it is copied. typ is the
// caller's.
func AppendFrame(b []byte, typ uint8, payload []byte) []byte {
	var head [FrameHeadBytes]byte
	head[4] = typ
	binary.LittleEndian.PutUint32(head[8:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(head[:], frameSum(head[:], payload))
	return append(append(b, head[:]...), payload...)
}

// ParseFrame reads the frame that b begins with; at is its offset in the pack, for errors. The payload aliases b.
func ParseFrame(b []byte, at uint32) (Frame, error) { return parseFrame(b, at) }
