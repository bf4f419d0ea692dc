package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/classify/engine"
	"github.com/weirstor/weir/replicate/codec"
)

// Price is what one way of sending costs.
type Price struct {
	Way   string        `json:"way"`
	Bytes int64         `json:"bytes"`
	Work  time.Duration `json:"work_ns,omitempty"` // of one core; 0: not measured
	Note  string        `json:"note,omitempty"`
}

// Prices is a workload under several ways of sending.
type Prices struct {
	Changed    int64            `json:"changed_bytes"` // leaf blocks of 4 KiB whose content is another one
	FileSystem string           `json:"file_system,omitempty"`
	Rows       []Price          `json:"rows"`
	Classes    []api.ChunkCount `json:"classes,omitempty"` // at balanced, by class and encoding
}

// fixed adds the rows of whole blocks.
func (p *Prices) fixed(list []codec.FixedCost) {
	for _, f := range list {
		name := fmt.Sprintf("blocks of %d KiB", f.BlockBytes>>10)
		p.Rows = append(p.Rows, Price{Way: name, Bytes: f.Raw}, Price{Way: name + ", zstd each", Bytes: f.Zstd})
	}
}

// Images prices the difference between two images of a volume, files or devices: as whole blocks, by our packaging at
// each sensitivity, each of which has seen all of the old image, and by zstd --patch-from, if zstd is installed. All that
// counts is what travels; images are only read. The model is that of a file, or the shipped one.
func Images(ctx context.Context, old, new, model string) (*Prices, error) {
	m, err := modelOf(model)
	if err != nil {
		return nil, err
	}
	opt := codec.Options{Model: m}
	a, size, err := openImage(old)
	if err != nil {
		return nil, err
	}
	defer func() { _ = a.Close() }()
	b, size2, err := openImage(new)
	if err != nil {
		return nil, err
	}
	defer func() { _ = b.Close() }()
	p := &Prices{}
	all := []engine.Sensitivity{engine.Fast, engine.Balanced, engine.Thorough}
	for i, s := range all {
		opt.Sensitivity = s
		m, err := codec.Measure(ctx, image{a}, image{b}, max(size, size2), opt)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			p.Changed, p.FileSystem = m.Changed, m.FileSystem
			p.fixed(m.Fixed)
		}
		if s == engine.Balanced {
			p.Classes = Counts(&m.Encodings)
		}
		p.Rows = append(p.Rows, Price{Way: "weir, " + s.String(), Bytes: m.Wire, Work: m.Encode})
	}
	p.Rows = append(p.Rows, patchFrom(ctx, old, new))
	return p, nil
}

// patchFrom is what zstd makes of the new image with all of the old one at hand.
func patchFrom(ctx context.Context, old, new string) Price {
	p := Price{Way: "zstd -9 --long=31 --patch-from"}
	if _, err := exec.LookPath("zstd"); err != nil {
		p.Note = "zstd is not installed"
		return p
	}
	cmd := exec.CommandContext(ctx, "zstd", "-q", "-9", "--long=31", "--patch-from="+old, "-c", new)
	var n counter
	cmd.Stdout = &n
	if err := cmd.Run(); err != nil {
		p.Note = err.Error()
		return p
	}
	p.Bytes, p.Work = int64(n), cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()
	return p
}

// counter counts what is written.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// image is a codec.View of a file; behind its end are zeroes.
type image struct{ f *os.File }

// ReadAt implements codec.View.
func (i image) ReadAt(p []byte, off int64) error {
	n, err := i.f.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	clear(p[n:])
	return nil
}

// openImage opens a file or a block device and tells its size.
func openImage(path string) (*os.File, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil && size == 0 {
		err = errors.New("it is empty")
	}
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("image %s: %w", path, err), f.Close())
	}
	return f, size, nil
}
