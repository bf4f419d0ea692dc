package pack

import "fmt"

// Writer collects frames into one pack in memory. Not safe for concurrent use.
type Writer struct {
	buf  []byte
	kind Kind
}

// NewWriter returns a Writer of an empty pack.
func NewWriter(kind Kind) *Writer {
	w := &Writer{kind: kind}
	w.Reset()
	return w
}

// Reset forgets all frames. The Pack that the last Finish returned keeps its bytes.
func (w *Writer) Reset() {
	w.buf = make([]byte, HeaderBytes, 64<<10)
	putHeader(w.buf, w.kind)
}

// Len is the size that the pack would have now, in bytes.
func (w *Writer) Len() int { return len(w.buf) }

// Empty reports whether no frame was appended yet.
func (w *Writer) Empty() bool { return len(w.buf) == HeaderBytes }

// Fits reports whether a frame with n bytes of payload can be appended.
func (w *Writer) Fits(n int) bool { return n >= 0 && n <= MaxBytes-len(w.buf)-FrameHeadBytes }

// Append adds a frame and returns the offset by which Frame finds it. payload is copied. typ is the caller's.
func (w *Writer) Append(typ uint8, payload []byte) (uint32, error) {
	if !w.Fits(len(payload)) {
		return 0, fmt.Errorf("%w: frame of %d bytes at %d of %d", ErrFull, len(payload), len(w.buf), MaxBytes)
	}
	at := len(w.buf)
	w.buf = AppendFrame(w.buf, typ, payload)
	return uint32(at), nil
}

// Finish returns the pack and leaves the Writer empty.
func (w *Writer) Finish() Pack {
	b := w.buf
	w.Reset()
	return Pack{Ref: Ref{ID: Sum(b), Size: uint32(len(b))}, Bytes: b}
}
