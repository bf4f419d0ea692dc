package pack

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Frame is one frame of a pack. Payload aliases the bytes that it was read from.
type Frame struct {
	Payload []byte
	At      uint32 // offset of the frame in its pack, bytes
	Type    uint8
}

// Open checks that b is the whole pack id, and returns its kind. Frames are checked as they are read.
func Open(b []byte, id ID) (Kind, error) {
	if len(b) > MaxBytes {
		return 0, fmt.Errorf("%w: %d bytes, at most %d", ErrCorrupt, len(b), MaxBytes)
	}
	if got := Sum(b); got != id {
		return 0, fmt.Errorf("%w: content is %s, want %s", ErrCorrupt, got, id)
	}
	return readHeader(b)
}

// KindOf reads the kind from a pack's first HeaderBytes without checking the rest.
func KindOf(b []byte) (Kind, error) { return readHeader(b) }

// Frames calls f with each frame of the pack b in order, until f returns an error, which it returns.
func Frames(b []byte, f func(Frame) error) error {
	if _, err := readHeader(b); err != nil {
		return err
	}
	for at := HeaderBytes; at < len(b); {
		fr, err := parseFrame(b[at:], uint32(at))
		if err != nil {
			return err
		}
		if err := f(fr); err != nil {
			return err
		}
		at += FrameHeadBytes + len(fr.Payload)
	}
	return nil
}

// ReadFrame reads the one frame at offset at from r, a pack of size bytes. The payload is freshly allocated.
func ReadFrame(r io.ReaderAt, size, at uint32) (Frame, error) {
	var head [FrameHeadBytes]byte
	if at < HeaderBytes || uint64(at)+FrameHeadBytes > uint64(size) {
		return Frame{}, fmt.Errorf("%w: frame at %d of %d bytes", ErrTruncated, at, size)
	}
	if _, err := r.ReadAt(head[:], int64(at)); err != nil {
		return Frame{}, fmt.Errorf("frame head at %d: %w", at, err)
	}
	n := binary.LittleEndian.Uint32(head[8:])
	if uint64(n) > uint64(size)-uint64(at)-FrameHeadBytes {
		return Frame{}, fmt.Errorf("%w: frame at %d says %d bytes, pack has %d", ErrCorrupt, at, n, size)
	}
	b := make([]byte, FrameHeadBytes+int(n))
	if _, err := r.ReadAt(b, int64(at)); err != nil {
		return Frame{}, fmt.Errorf("frame at %d+%d: %w", at, len(b), err)
	}
	return parseFrame(b, at)
}

func parseFrame(b []byte, at uint32) (Frame, error) {
	if len(b) < FrameHeadBytes {
		return Frame{}, fmt.Errorf("%w: frame head at %d", ErrTruncated, at)
	}
	n := binary.LittleEndian.Uint32(b[8:])
	if uint64(n) > uint64(len(b)-FrameHeadBytes) {
		return Frame{}, fmt.Errorf("%w: frame at %d says %d bytes, %d are left", ErrTruncated, at, n, len(b)-FrameHeadBytes)
	}
	payload := b[FrameHeadBytes : FrameHeadBytes+int(n) : FrameHeadBytes+int(n)]
	if got, want := frameSum(b[:FrameHeadBytes], payload), binary.LittleEndian.Uint32(b); got != want {
		return Frame{}, fmt.Errorf("%w: frame at %d: checksum is %08x, want %08x", ErrCorrupt, at, got, want)
	}
	return Frame{Payload: payload, At: at, Type: b[4]}, nil
}
