package client

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
)

// FuzzHandshake: whatever a server answers, the handshake ends, with an export whose size is a size or an error.
func FuzzHandshake(f *testing.F) {
	greeting := binary.BigEndian.AppendUint64(nil, 0x4e42444d41474943)
	greeting = binary.BigEndian.AppendUint64(greeting, 0x49484156454f5054)
	greeting = append(greeting, 0, 3)
	reply := func(kind uint32, data ...byte) []byte {
		b := binary.BigEndian.AppendUint64(nil, 0x3e889045565a9)
		b = binary.BigEndian.AppendUint32(b, 7)
		b = binary.BigEndian.AppendUint32(b, kind)
		b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
		return append(b, data...)
	}
	info := append(greeting[:len(greeting):len(greeting)], reply(3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 5)...)
	f.Add(greeting)
	f.Add(append(info, reply(1)...))
	f.Add(append(info, reply(1<<31+6, 'n', 'o')...))
	f.Fuzz(func(t *testing.T, answers []byte) {
		conn, server := net.Pipe()
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = io.Copy(io.Discard, server) })
		wg.Go(func() {
			_, _ = server.Write(answers)
			_ = server.Close()
		})
		err := greet(conn)
		if err == nil {
			var i Info
			if i, err = goExport(conn, "v"); err == nil && i.Size < 0 {
				t.Errorf("size is %d", i.Size)
			}
		}
		_ = conn.Close()
		wg.Wait()
	})
}
