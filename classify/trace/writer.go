package trace

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"github.com/weirstor/weir/classify/engine"
)

// reserve is kept for epochs and the last line when decisions have used up the bound, as a share of it.
const reserve = 16

// endBytes is room for the last line.
const endBytes = 128

// Writer writes a trace of at most a number of bytes. Safe for concurrent use.
type Writer struct {
	mu      sync.Mutex
	out     io.Writer
	left    int64
	kept    int64 // of left, not for decisions
	dropped int64
	counts  Counts
	err     error
}

// Counts says what a Writer has got.
type Counts struct {
	Runs, Columns, Epochs, Dropped, Bytes int64
}

var _ engine.Recorder = (*Writer)(nil)

// NewWriter begins a trace of at most limit bytes, 0 for MaxBytes, on out.
func NewWriter(out io.Writer, limit int64) *Writer {
	if limit <= 0 || limit > MaxBytes {
		limit = MaxBytes
	}
	w := &Writer{out: out, left: limit, kept: limit / reserve}
	w.write(line{Header: &Header{Format: Format, Version: Version, Features: engine.ModelVersion}}, 0)
	return w
}

// write adds a line if it leaves kept bytes.
func (w *Writer) write(l line, kept int64) bool {
	if w.err != nil {
		return false
	}
	b, err := json.Marshal(l)
	if err != nil {
		w.err = err
		return false
	}
	if int64(len(b)+1) > w.left-kept {
		w.dropped++
		return false
	}
	n, err := w.out.Write(append(b, '\n'))
	w.left -= int64(n)
	w.counts.Bytes += int64(n)
	w.err = err
	return err == nil
}

// RunSample implements engine.Recorder.
func (w *Writer) RunSample(x *engine.Run, out *[engine.NumSearch]engine.Outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.write(line{Run: toLine(x[:], out[:])}, w.kept) {
		w.counts.Runs++
	}
}

// ColumnSample implements engine.Recorder.
func (w *Writer) ColumnSample(x *engine.Column, out *[engine.NumSqueeze]engine.Outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.write(line{Column: toLine(x[:], out[:])}, w.kept) {
		w.counts.Columns++
	}
}

func toLine(x []float32, out []engine.Outcome) *runLine {
	l := &runLine{X: x}
	for _, o := range out {
		l.Out = append(l.Out, [2]int64{o.Bytes, o.Work})
	}
	return l
}

// Epoch notes what an epoch cost.
func (w *Writer) Epoch(e Epoch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.write(line{Epoch: &e}, endBytes) {
		w.counts.Epochs++
	}
}

// Counts says what has been written so far.
func (w *Writer) Counts() Counts {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.counts
	c.Dropped = w.dropped
	return c
}

// Close writes the last line. It does not close what the trace is written to.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.write(line{End: &endOfFile{Dropped: w.dropped}}, 0)
	if w.err != nil {
		return fmt.Errorf("trace: %w", w.err)
	}
	return nil
}
