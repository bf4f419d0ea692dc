package main

import (
	"io"
	"os"
	"sync"

	"github.com/cheggaaa/pb/v3"
	"github.com/mattn/go-isatty"

	"github.com/weirstor/weir/admin/api"
)

// bar shows the progress of long work on a terminal, and nothing elsewhere.
type bar struct {
	out io.Writer
	mu  struct {
		sync.Mutex
		pb   *pb.ProgressBar
		what string
	}
}

// newBar returns a bar on out; one that shows nothing unless out is a terminal.
func newBar(out io.Writer, quiet bool) *bar {
	f, ok := out.(*os.File)
	if quiet || !ok || !isatty.IsTerminal(f.Fd()) {
		return &bar{}
	}
	return &bar{out: out}
}

// report takes one report; it may be called from any goroutine.
func (b *bar) report(p api.Progress) {
	if b.out == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.pb == nil || b.mu.what != p.What {
		b.finishLocked()
		b.mu.what = p.What
		b.mu.pb = pb.New64(p.Total).SetWriter(b.out).Set("prefix", p.What+" ").Set(pb.Bytes, p.Unit == "bytes").Start()
	}
	b.mu.pb.SetTotal(p.Total).SetCurrent(p.Done)
}

func (b *bar) finishLocked() {
	if b.mu.pb != nil {
		b.mu.pb.Finish()
		b.mu.pb = nil
	}
}

// close ends the bar's line.
func (b *bar) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.finishLocked()
}
