package main

import (
	"fmt"
	"os"
	"strconv"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("want: nbd ADDR SIZE, or iscsi ADDR FILE; got %q", args)
	}
	switch args[0] {
	case "nbd":
		size, err := strconv.ParseInt(args[2], 10, 64)
		if err != nil || size <= 0 {
			return fmt.Errorf("size is %q, want a number of bytes", args[2])
		}
		return serveNBD(args[1], size)
	case "iscsi":
		return serveISCSI(args[1], args[2])
	}
	return fmt.Errorf("unknown peer %q", args[0])
}
