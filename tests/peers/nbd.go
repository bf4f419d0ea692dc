package main

import (
	"fmt"
	"net"
	"os"

	"github.com/pojntfx/go-nbd/pkg/backend"
	"github.com/pojntfx/go-nbd/pkg/server"
)

// serveNBD serves size bytes of memory with go-nbd. Connections share the memory.
func serveNBD(addr string, size int64) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	exports := []*server.Export{{Name: "v", Backend: backend.NewMemoryBackend(make([]byte, size))}}
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			if err := server.Handle(conn, exports, &server.Options{SupportsMultiConn: true}); err != nil {
				fmt.Fprintln(os.Stderr, "peers: nbd:", err)
			}
		}()
	}
}
