package nbd

import (
	"encoding/binary"
	"io"
	"testing"
	"time"

	"github.com/weirstor/weir/target/memory"
)

// BenchmarkRequests keeps depth requests in flight on one connection over loopback TCP. The client is as frugal as can
// be, so that allocations per operation are those of the server.
func BenchmarkRequests(b *testing.B) {
	cases := []struct {
		name  string
		cmd   command
		size  int
		depth int
		form  style
	}{
		{"write4k-depth1", cmdWrite, 4096, 1, structured},
		{"write4k-depth32", cmdWrite, 4096, 32, structured},
		{"read4k-depth1", cmdRead, 4096, 1, structured},
		{"read4k-depth32", cmdRead, 4096, 32, structured},
		{"read4k-depth32-simple", cmdRead, 4096, 32, simple},
		{"read4k-depth32-extended", cmdRead, 4096, 32, extended},
		{"write128k-depth8", cmdWrite, 128 << 10, 8, structured},
		{"read128k-depth8", cmdRead, 128 << 10, 8, structured},
		{"write1m-depth4", cmdWrite, 1 << 20, 4, structured},
		{"flush-depth1", cmdFlush, 0, 1, structured},
	}
	for _, bc := range cases {
		b.Run(bc.name, func(b *testing.B) {
			_, addr := startServer(b, shelf{"v": memory.New(64<<20, 4096)}, Options{})
			c := attach(b, addr, "v", bc.form)
			for range 100 { // the device proves that it is fast
				c.mustCall(0, cmdRead, 0, 0, 4096, nil)
				c.mustCall(0, cmdFlush, 0, 0, 0, nil)
			}
			c.conn.SetDeadline(time.Time{})
			b.SetBytes(int64(bc.size))
			b.ReportAllocs()
			b.ResetTimer()
			drive(b, c, bc.cmd, bc.size, bc.depth)
		})
	}
}

// drive sends b.N requests, depth at a time.
func drive(b *testing.B, c *client, cmd command, size, depth int) {
	var packet []byte
	reply := simpleReplySize
	for i := range depth {
		r := request{cmd: cmd, cookie: uint64(i), off: uint64(i * size), n: uint64(size)}
		if c.form == extended && cmd == cmdWrite {
			r.flags |= cmdFlagPayloadLen
		}
		packet = append(packet, c.header(r)...)
		if cmd == cmdWrite {
			packet = append(packet, make([]byte, size)...)
		}
	}
	if cmd == cmdRead {
		reply = len(c.form.appendDataHeader(nil, &request{}, 0, size, 0)) + size
	}
	in := make([]byte, reply*depth)
	for done := 0; done < b.N; done += depth {
		if _, err := c.conn.Write(packet); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c.conn, in); err != nil {
			b.Fatal(err)
		}
	}
	if e := binary.BigEndian.Uint32(in[4:]); c.form != extended && cmd != cmdRead && e != 0 {
		b.Fatalf("errno %d", e)
	}
}
