package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/weirstor/weir/appliance/demo/trace"
)

const (
	block    = 4096
	runBytes = 64 << 10 // longest write, as a kernel would send it
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: mktrace OUT STEP=IMAGE...")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "mktrace:", err)
		os.Exit(1)
	}
}

// run writes to out what turns a device of zeroes into each image in turn.
func run(out string, steps []string) error {
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	var w *trace.Writer
	var now []byte
	for _, s := range steps {
		name, path, _ := strings.Cut(s, "=")
		next, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if w == nil {
			now = make([]byte, len(next))
			if w, err = trace.NewWriter(f, int64(len(next))); err != nil {
				return err
			}
		}
		if len(next) != len(now) {
			return fmt.Errorf("%s has %d bytes, the first image %d", path, len(next), len(now))
		}
		n, err := step(w, name, now, next)
		if err != nil {
			return err
		}
		fmt.Printf("%-10s %6d KiB\n", name, n/1024)
		now = next
	}
	end, err := f.Seek(0, io.SeekCurrent)
	err = errors.Join(err, w.Close())
	if st, statErr := f.Stat(); statErr == nil {
		end = st.Size()
	}
	fmt.Printf("%-10s %6d KiB\n", "trace", end/1024)
	return errors.Join(err, f.Close())
}

// step writes the blocks that differ, neighbours together, and returns their bytes.
func step(w *trace.Writer, name string, old, now []byte) (int, error) {
	if err := w.Step(name); err != nil {
		return 0, err
	}
	total := 0
	for i := 0; i < len(now); {
		n := 0
		for n < runBytes && i+n < len(now) && !bytes.Equal(old[i+n:i+n+block], now[i+n:i+n+block]) {
			n += block
		}
		if n == 0 {
			i += block
			continue
		}
		if err := w.Write(int64(i), now[i:i+n]); err != nil {
			return total, err
		}
		total += n
		i += n
	}
	return total, nil
}
