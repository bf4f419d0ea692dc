package iscsi_test

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/weirstor/weir/target/iscsi"
	"github.com/weirstor/weir/target/iscsi/initiator"
	"github.com/weirstor/weir/target/memory"
)

// BenchmarkDoor measures the door over loopback TCP with an in-memory device, through our initiator in the same
// process; with WEIR_ISCSI_PEER it measures another target in the same way. Allocations are those of
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

// benchPeer is another target to measure, from WEIR_ISCSI_PEER=host:port,iqn,lun[,pid]. With the process of the peer
// its CPU time per request is reported too.
type benchPeer struct {
	addr, iqn string
	lun       byte
	pid       string
}

func peerFromEnv(b *testing.B) (benchPeer, bool) {
	env := os.Getenv("WEIR_ISCSI_PEER")
	if env == "" {
		return benchPeer{}, false
	}
	f := strings.Split(env, ",")
	if len(f) < 3 {
		b.Fatalf("WEIR_ISCSI_PEER=%s, want host:port,iqn,lun[,pid]", env)
	}
	lun, err := strconv.ParseUint(f[2], 10, 8)
	if err != nil {
		b.Fatal(err)
	}
	p := benchPeer{addr: f[0], iqn: f[1], lun: byte(lun)}
	if len(f) > 3 {
		p.pid = f[3]
	}
	return p, true
}

// cpu returns the CPU time that a process has used, in nanoseconds (proc(5): fields 14 and 15 of stat, 10 ms each).
func (p benchPeer) cpu() int64 {
	stat, err := os.ReadFile("/proc/" + p.pid + "/stat")
	if p.pid == "" || err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	f := strings.Fields(rest)
	user, _ := strconv.ParseInt(f[11], 10, 64)
	system, _ := strconv.ParseInt(f[12], 10, 64)
	return (user + system) * 10_000_000
}

func benchSession(b *testing.B) *initiator.Session {
	peer, ok := peerFromEnv(b)
	if !ok {
		addr, _ := serve(b, new(shelf).with("v", memory.New(256*mib, 512)), iscsi.Options{})
		return dial(b, addr, "v", initiator.Options{})
	}
	s, err := initiator.Dial(context.Background(), peer.addr, peer.iqn, initiator.Options{LUN: peer.lun})
	if err != nil {
		b.Fatal(err)
	}
	before := peer.cpu()
	b.Cleanup(func() {
		if used := peer.cpu() - before; used > 0 {
			b.ReportMetric(float64(used)/float64(b.N), "server-cpu-ns/op")
		}
		_ = s.Logout()
	})
	return s
}
