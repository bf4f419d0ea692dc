package trace

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/weirstor/weir/classify/engine"
)

// Read reads a trace. One that was cut off is read as far as it goes and is not Complete. More than MaxBytes is
// ErrCorrupt.
func Read(r io.Reader) (*Trace, error) {
	t := &Trace{}
	limited := &io.LimitedReader{R: r, N: MaxBytes + 1}
	s := bufio.NewScanner(limited)
	s.Buffer(nil, maxLine)
	for n := 1; s.Scan(); n++ {
		if err := t.add(n, s.Bytes()); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	switch {
	case s.Err() != nil:
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, s.Err())
	case limited.N == 0:
		return nil, fmt.Errorf("%w: more than %d bytes", ErrCorrupt, MaxBytes)
	}
	return t, nil
}

// add takes line number n.
func (t *Trace) add(n int, b []byte) error {
	var l line
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if (n == 1) != (l.Header != nil) {
		return fmt.Errorf("%w: the header is the first line, and no other", ErrCorrupt)
	}
	if t.Complete {
		return fmt.Errorf("%w: a line behind the last one", ErrCorrupt)
	}
	switch {
	case l.Header != nil:
		if *l.Header != (Header{Format, Version, engine.ModelVersion}) {
			return fmt.Errorf("%w: %+v, want %+v", ErrVersion, *l.Header, Header{Format, Version, engine.ModelVersion})
		}
	case l.Run != nil:
		return addSample(&t.Runs, &engine.SearchQuestion, l.Run)
	case l.Column != nil:
		return addSample(&t.Columns, &engine.SqueezeQuestion, l.Column)
	case l.Epoch != nil:
		t.Epochs = append(t.Epochs, *l.Epoch)
	case l.End != nil:
		t.Dropped, t.Complete = l.End.Dropped, true
	default:
		return fmt.Errorf("%w: an empty line", ErrCorrupt)
	}
	return nil
}

func addSample(to *[]engine.Sample, q *engine.Question, l *runLine) error {
	if len(l.X) != len(q.Features) || len(l.Out) != len(q.Answers) {
		return fmt.Errorf("%w: %d features and %d answers of %s, want %d and %d", ErrCorrupt, len(l.X), len(l.Out), q.Name,
			len(q.Features), len(q.Answers))
	}
	s := engine.Sample{Features: l.X}
	for _, o := range l.Out {
		if o[0] < 0 || o[1] < 0 {
			return fmt.Errorf("%w: an answer that costs %d bytes and %d ns", ErrCorrupt, o[0], o[1])
		}
		s.Outcomes = append(s.Outcomes, engine.Outcome{Bytes: o[0], Work: o[1]})
	}
	*to = append(*to, s)
	return nil
}
