package deflate

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/flate"
)

// ErrTooLong says that a stream holds more than the caller wants.
var ErrTooLong = errors.New("deflate stream is too long")

// Inflater decompresses one stream after the other. Not safe for concurrent use.
type Inflater struct {
	in bytes.Reader
	r  io.ReadCloser
}

// NewInflater returns an Inflater.
func NewInflater() *Inflater { return &Inflater{r: flate.NewReader(bytes.NewReader(nil))} }

// Append appends to dst what the raw deflate stream at the beginning of src holds, at most limit bytes, and returns how
// long the stream is.
func (f *Inflater) Append(dst, src []byte, limit int) (out []byte, used int, err error) {
	f.in.Reset(src)
	if err := f.r.(flate.Resetter).Reset(&f.in, nil); err != nil {
		return dst, 0, fmt.Errorf("deflate stream: %w", err)
	}
	from := len(dst)
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)]
		}
		n, err := f.r.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if len(dst)-from > limit {
			return dst[:from], 0, ErrTooLong
		}
		if errors.Is(err, io.EOF) {
			return dst, len(src) - f.in.Len(), nil
		}
		if err != nil {
			return dst[:from], 0, fmt.Errorf("deflate stream: %w", err)
		}
	}
}
