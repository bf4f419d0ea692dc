package trace

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

const (
	magic        = "weirtrc1"
	windowBytes  = 64 << 20
	payloadMax   = 1 << 20
	deviceMax    = 1 << 40
	kindStep     = 'S'
	kindWrite    = 'W'
	recordHeader = 13 // bytes
)

// ErrFormat says that a stream is not a trace.
var ErrFormat = errors.New("not a trace")

// Record is one write, or, when Step is not empty, the begin of a step.
type Record struct {
	Step string
	Off  int64  // bytes
	Data []byte // valid until the next call
}

// Writer makes a trace. It is not safe for concurrent use.
type Writer struct {
	z *zstd.Encoder
}

// NewWriter begins a trace of a device of size bytes on w.
func NewWriter(w io.Writer, size int64) (*Writer, error) {
	z, err := zstd.NewWriter(w, zstd.WithWindowSize(windowBytes), zstd.WithEncoderLevel(zstd.SpeedBestCompression),
		zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	_, err = z.Write(binary.LittleEndian.AppendUint64([]byte(magic), uint64(size)))
	return &Writer{z}, err
}

// Step begins a step.
func (w *Writer) Step(name string) error { return w.record(kindStep, 0, []byte(name)) }

// Write adds a write of at most 1 MiB.
func (w *Writer) Write(off int64, p []byte) error { return w.record(kindWrite, off, p) }

func (w *Writer) record(kind byte, off int64, p []byte) error {
	if len(p) == 0 || len(p) > payloadMax {
		return fmt.Errorf("record of %d bytes, want 1 to %d", len(p), payloadMax)
	}
	b := binary.LittleEndian.AppendUint64([]byte{kind}, uint64(off))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(p)))
	if _, err := w.z.Write(b); err != nil {
		return err
	}
	_, err := w.z.Write(p)
	return err
}

// Close ends the trace; it does not close the writer below.
func (w *Writer) Close() error { return w.z.Close() }

// Reader reads a trace. It is not safe for concurrent use.
type Reader struct {
	z    *zstd.Decoder
	r    *bufio.Reader
	size int64
	buf  []byte
}

// NewReader begins to read a trace. Close it.
func NewReader(r io.Reader) (*Reader, error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(windowBytes), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	t := &Reader{z: z, r: bufio.NewReaderSize(z, 256<<10)}
	var b [len(magic) + 8]byte
	if _, err := io.ReadFull(t.r, b[:]); err != nil || string(b[:len(magic)]) != magic {
		z.Close()
		return nil, fmt.Errorf("%w: begins with %q, %w", ErrFormat, b[:len(magic)], errors.Join(err))
	}
	size := binary.LittleEndian.Uint64(b[len(magic):])
	if size > deviceMax {
		z.Close()
		return nil, fmt.Errorf("%w: device of %d bytes", ErrFormat, size)
	}
	t.size = int64(size)
	return t, nil
}

// Size is the size of the device in bytes.
func (t *Reader) Size() int64 { return t.size }

// Next returns the next record, or io.EOF after the last.
func (t *Reader) Next() (Record, error) {
	var h [recordHeader]byte
	if _, err := io.ReadFull(t.r, h[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return Record{}, io.EOF
		}
		return Record{}, fmt.Errorf("%w: record: %w", ErrFormat, err)
	}
	off, n := binary.LittleEndian.Uint64(h[1:]), binary.LittleEndian.Uint32(h[9:])
	if n == 0 || n > payloadMax {
		return Record{}, fmt.Errorf("%w: record of %d bytes", ErrFormat, n)
	}
	if cap(t.buf) < int(n) {
		t.buf = make([]byte, n)
	}
	t.buf = t.buf[:n]
	if _, err := io.ReadFull(t.r, t.buf); err != nil {
		return Record{}, fmt.Errorf("%w: record of %d bytes: %w", ErrFormat, n, err)
	}
	switch {
	case h[0] == kindStep:
		return Record{Step: string(t.buf)}, nil
	case h[0] == kindWrite && off <= uint64(t.size) && uint64(n) <= uint64(t.size)-off:
		return Record{Off: int64(off), Data: t.buf}, nil
	}
	return Record{}, fmt.Errorf("%w: record of kind %q at %d+%d of %d bytes", ErrFormat, h[0], off, n, t.size)
}

// Close releases the decoder.
func (t *Reader) Close() { t.z.Close() }
