package main

import (
	"fmt"
	"net"
	"os"
	"strconv"

	"github.com/weirstor/weir/target"
	"github.com/weirstor/weir/target/iscsi"
	"github.com/weirstor/weir/target/memory"
	"github.com/weirstor/weir/target/nbd"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "door:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("want: nbd|iscsi ADDR BYTES; got %q", args)
	}
	size, err := strconv.ParseInt(args[2], 10, 64)
	if err != nil || size < 4096 || size%4096 != 0 {
		return fmt.Errorf("size is %q, want a multiple of 4096", args[2])
	}
	l, err := net.Listen("tcp", args[1])
	if err != nil {
		return err
	}
	v := volume{memory.New(size, 512)}
	switch args[0] {
	case "nbd":
		s := nbd.NewServer(exports{v}, nbd.Options{})
		defer s.Close()
		return s.Serve(l)
	case "iscsi":
		s := iscsi.NewServer(targets{v}, iscsi.Options{})
		defer s.Close()
		return s.Serve(l)
	}
	return fmt.Errorf("there is no door called %q", args[0])
}

// volume is the one device of both doors.
type volume struct{ dev target.Device }

type exports struct{ volume }

func (v exports) Export(name string) (target.Device, nbd.ExportInfo, error) {
	if name != "v" {
		return nil, nbd.ExportInfo{}, nbd.ErrUnknownExport
	}
	return v.dev, nbd.ExportInfo{Name: "v"}, nil
}

func (v exports) List() []nbd.ExportInfo { return []nbd.ExportInfo{{Name: "v"}} }

type targets struct{ volume }

func (v targets) Target(iqn string) (target.Device, iscsi.TargetInfo, error) {
	if iqn != iscsi.IQN("v") {
		return nil, iscsi.TargetInfo{}, iscsi.ErrUnknownTarget
	}
	return v.dev, v.info(), nil
}

func (v targets) info() iscsi.TargetInfo {
	return iscsi.TargetInfo{IQN: iscsi.IQN("v"), Alias: "v", ID: [16]byte{1}}
}

func (v targets) List() []iscsi.TargetInfo { return []iscsi.TargetInfo{v.info()} }
