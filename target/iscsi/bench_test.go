package iscsi_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/weirstor/weir/target/iscsi"
	"github.com/weirstor/weir/target/iscsi/initiator"
	"github.com/weirstor/weir/target/memory"
)

// BenchmarkDoor measures the door over loopback TCP with an in-memory device, through our initiator in the same
// process; with WEIR_ISCSI_PEER=host:port,iqn it measures another target in the same way. Allocations are those of
// both sides.
func BenchmarkDoor(b *testing.B) {
	for _, cell := range []struct {
		name  string
		write bool
		size  int
		depth int
		seq   bool
	}{
		{"randread-4k-qd1", false, 4 << 10, 1, false},
		{"randwrite-4k-qd1", true, 4 << 10, 1, false},
		{"randread-4k-qd32", false, 4 << 10, 32, false},
		{"randwrite-4k-qd32", true, 4 << 10, 32, false},
		{"read-128k-qd8", false, 128 << 10, 8, true},
		{"write-128k-qd8", true, 128 << 10, 8, true},
	} {
		b.Run(cell.name, func(b *testing.B) {
			s := benchSession(b)
			blocks := s.Size() / int64(cell.size)
			b.SetBytes(int64(cell.size))
			b.ReportAllocs()
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for w := range cell.depth {
				wg.Go(func() {
					rnd := rand.New(rand.NewPCG(uint64(w), 1))
					p := make([]byte, cell.size)
					for {
						i := next.Add(1) - 1
						if i >= int64(b.N) {
							return
						}
						if !cell.seq {
							i = rnd.Int64N(blocks)
						}
						var err error
						if off := i % blocks * int64(cell.size); cell.write {
							err = s.WriteAt(p, off, false)
						} else {
							err = s.ReadAt(p, off)
						}
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

func benchSession(b *testing.B) *initiator.Session {
	peer := os.Getenv("WEIR_ISCSI_PEER")
	if peer == "" {
		addr, _ := serve(b, new(shelf).with("v", memory.New(256*mib, 512)), iscsi.Options{})
		return dial(b, addr, "v", initiator.Options{})
	}
	addr, iqn, ok := strings.Cut(peer, ",")
	if !ok {
		b.Fatal(fmt.Errorf("WEIR_ISCSI_PEER=%s, want host:port,iqn", peer))
	}
	s, err := initiator.Dial(context.Background(), addr, iqn, initiator.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Logout() })
	return s
}
