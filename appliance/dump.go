package appliance

import (
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/weirstor/weir/intercept"
	"github.com/weirstor/weir/replicate/pack"
)

// DumpKind is a format of which a file can be printed.
type DumpKind struct {
	Name, About string
	Dump        func(w io.Writer, path string) error
}

// DumpKinds are the formats that weir dump knows.
var DumpKinds = []DumpKind{
	{"log", "A segment of a write log, a checkpoint, or the folder of a group with all of them", intercept.Dump},
	{"pack", "A pack: its kind, its frames, and whether their checksums hold", dumpPack},
}

// dumpPack prints the frames of the pack at path.
func dumpPack(w io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, pack.MaxBytes+1))
	if err != nil {
		return err
	}
	if len(b) > pack.MaxBytes {
		return fmt.Errorf("%s: %w: more than %d bytes", path, pack.ErrCorrupt, pack.MaxBytes)
	}
	kind, err := pack.KindOf(b)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintf(t, "pack\t%s\nkind\t%s\nbytes\t%d\n", pack.Sum(b), kind, len(b))
	fmt.Fprintln(t, "FRAME AT\tTYPE\tPAYLOAD BYTES")
	err = pack.Frames(b, func(fr pack.Frame) error {
		_, err := fmt.Fprintf(t, "%d\t%d\t%d\n", fr.At, fr.Type, len(fr.Payload))
		return err
	})
	if flushErr := t.Flush(); err == nil {
		err = flushErr
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
