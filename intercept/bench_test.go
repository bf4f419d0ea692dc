package intercept

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/weirstor/weir/target"
)

// benchVolume is a volume of 1 GiB on the operating system's file system, destaged as it is sealed.
func benchVolume(b *testing.B) *Volume {
	b.Helper()
	g, err := Create(filepath.Join(b.TempDir(), "group"), Options{LogBudget: 2 << 30, EpochInterval: time.Second})
	if err != nil {
		b.Fatal(err)
	}
	g.SetReplication(false)
	b.Cleanup(func() {
		if err := g.Close(); err != nil {
			b.Error(err)
		}
	})
	v, err := g.CreateVolume(VolumeSpec{Name: "v", Size: 1 << 30})
	if err != nil {
		b.Fatal(err)
	}
	return v
}

func randomPage(size int) []byte {
	p := make([]byte, size)
	for i := range p {
		p[i] = byte(rand.Uint32())
	}
	return p
}

// BenchmarkWriteAt is one 4 KiB write at a time, anywhere.
func BenchmarkWriteAt(b *testing.B) {
	v := benchVolume(b)
	p := randomPage(4096)
	b.SetBytes(4096)
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		if err := v.WriteAt(p, rand.Int64N(v.Size()/4096)*4096, false); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWriteBatch is batches of 4 KiB writes anywhere; the figures are for one write.
func BenchmarkWriteBatch(b *testing.B) {
	for _, depth := range []int{1, 8, 32} {
		b.Run(fmt.Sprintf("depth=%d", depth), func(b *testing.B) {
			v := benchVolume(b)
			p := randomPage(4096)
			ops := make([]target.WriteOp, depth)
			b.SetBytes(4096)
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; n += depth {
				for i := range ops {
					ops[i] = target.WriteOp{Data: p, Off: rand.Int64N(v.Size()/4096) * 4096}
				}
				v.WriteBatch(ops)
				if ops[0].Err != nil {
					b.Fatal(ops[0].Err)
				}
			}
		})
	}
}

// BenchmarkWriteFlush is a 4 KiB write and a flush, by one caller and by several at once.
func BenchmarkWriteFlush(b *testing.B) {
	for _, callers := range []int{1, 8} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			v := benchVolume(b)
			p := randomPage(4096)
			b.SetParallelism(callers)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := v.WriteAt(p, rand.Int64N(v.Size()/4096)*4096, true); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// BenchmarkReadAt is one 4 KiB read at a time, anywhere, of what is in the log and of what is in the base.
func BenchmarkReadAt(b *testing.B) {
	for _, where := range []string{"log", "base"} {
		b.Run(where, func(b *testing.B) {
			v := benchVolume(b)
			big := randomPage(1 << 20)
			const size = 128 << 20
			v.group.SetReplication(where == "log")
			for off := int64(0); off < size; off += int64(len(big)) {
				if err := v.WriteAt(big, off, false); err != nil {
					b.Fatal(err)
				}
			}
			end, err := v.group.Seal(context.Background(), "")
			if err != nil {
				b.Fatal(err)
			}
			for where == "base" && v.group.stacks.current.Load().layers[0].first <= end {
				time.Sleep(10 * time.Millisecond)
			}
			p := make([]byte, 4096)
			b.SetBytes(4096)
			b.ReportAllocs()
			b.ResetTimer()
			for b.Loop() {
				if err := v.ReadAt(p, rand.Int64N(size/4096)*4096); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRecover opens a log of 512 MiB that was not destaged, with 4 KiB writes anywhere.
func BenchmarkRecover(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "group")
	opt := Options{LogBudget: 1 << 30}
	g, err := Create(dir, opt)
	if err != nil {
		b.Fatal(err)
	}
	v, err := g.CreateVolume(VolumeSpec{Name: "v", Size: 1 << 30})
	if err != nil {
		b.Fatal(err)
	}
	ops := make([]target.WriteOp, 32)
	p := randomPage(4096)
	for range (512 << 20) / 4096 / len(ops) {
		for i := range ops {
			ops[i] = target.WriteOp{Data: p, Off: rand.Int64N(v.Size()/4096) * 4096}
		}
		v.WriteBatch(ops)
	}
	if err := g.Close(); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(512 << 20)
	b.ResetTimer()
	for b.Loop() {
		g, err := Open(dir, opt)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := g.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
