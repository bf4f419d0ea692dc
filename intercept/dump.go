package intercept

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/weirstor/weir/intercept/checkpoint"
	"github.com/weirstor/weir/intercept/wal"
)

// Dump prints for people what path holds: a segment of a write log, a checkpoint file, or the folder of a group, whose
// checkpoint and segments it prints. It only reads, and may run beside the process that has the group open.
func Dump(w io.Writer, path string) error {
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	if st.IsDir() {
		return dumpFolder(w, path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if filepath.Base(path) == checkpoint.FileName {
		return checkpoint.Dump(w, b)
	}
	if err := wal.Dump(w, b); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func dumpFolder(w io.Writer, dir string) error {
	segments, err := filepath.Glob(filepath.Join(dir, "log-*.seg"))
	if err != nil {
		return err
	}
	slices.Sort(segments)
	check := filepath.Join(dir, checkpoint.FileName)
	if _, err := os.Stat(check); err != nil {
		return fmt.Errorf("%s: %w", dir, ErrNotGroup)
	}
	for _, path := range append([]string{check}, segments...) {
		fmt.Fprintf(w, "%s\n", path)
		if err := Dump(w, path); err != nil {
			fmt.Fprintf(w, "%v\n", err) // a segment that is not in use may never have had a header
		}
	}
	return nil
}
