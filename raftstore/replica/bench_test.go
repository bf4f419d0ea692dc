package replica

import (
	"context"
	"fmt"
	"sync"
	"testing"
)

// benchSource returns a source with one volume of size bytes and a point that fills it.
func benchSource(b *testing.B, size int64, compressible bool) (*source, *sourceVolume, *sourcePoint) {
	src := newSource(b, 1)
	v := src.addVolume(size)
	data := src.random(int(size))
	if compressible {
		for i := range data {
			data[i] &= 7
		}
	}
	v.write(0, data)
	return src, v, src.seal()
}

// BenchmarkIngest takes in one point of 32 MiB; bytes are those of the volume.
func BenchmarkIngest(b *testing.B) {
	for _, compressible := range []bool{false, true} {
		b.Run(fmt.Sprintf("compressible=%v", compressible), func(b *testing.B) {
			const size = 32 << 20
			src, _, p := benchSource(b, size, compressible)
			b.SetBytes(size)
			for b.Loop() {
				b.StopTimer()
				n := newNode(b, nil, src, nil)
				for id, x := range src.packs.all() {
					if err := n.opt.Packs.Put(id, x); err != nil {
						b.Fatal(err)
					}
				}
				b.StartTimer()
				n.Advance(p.entry)
				n.wait(p, false)
				b.StopTimer()
				n.close()
				b.StartTimer()
			}
		})
	}
}

// BenchmarkSmallEpochs takes in points of one 4 KiB write each, of many groups at once.
func BenchmarkSmallEpochs(b *testing.B) {
	for _, groups := range []int{1, 8, 64, 512} {
		b.Run(fmt.Sprintf("groups=%d", groups), func(b *testing.B) {
			sources := make([]*source, groups)
			for i := range sources {
				sources[i] = newSource(b, uint64(i))
				sources[i].addVolume(1 << 20)
			}
			n := newNode(b, nil, sources[0], nil)
			for i := range b.N {
				s := sources[i%groups]
				s.volumes[0].write(int64(s.rng.IntN(256))*4096, s.random(4096))
				s.seal()
			}
			for _, s := range sources {
				for id, x := range s.packs.all() {
					if err := n.opt.Packs.Put(id, x); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ResetTimer()
			for _, s := range sources {
				for _, p := range s.points {
					n.Advance(p.entry)
				}
			}
			var wg sync.WaitGroup
			for _, s := range sources {
				if k := len(s.points); k > 0 {
					wg.Go(func() {
						if err := n.WaitApplied(context.Background(), s.points[k-1].point); err != nil {
							b.Error(err)
						}
					})
				}
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "epochs/s")
		})
	}
}

// BenchmarkRead reads a point of 64 MiB at random and in order, with frames in memory or read from their packs.
func BenchmarkRead(b *testing.B) {
	const size = 64 << 20
	src, v, p := benchSource(b, size, true)
	for _, c := range []struct {
		name  string
		cache int64
		bytes int
		seq   bool
	}{{"random4k", 1, 4096, false}, {"random4k-cached", 256 << 20, 4096, false}, {"sequential1m", 1, 1 << 20, true}} {
		b.Run(c.name, func(b *testing.B) {
			n := newNode(b, nil, src, func(o *Options) { o.FrameCacheBytes = c.cache })
			n.Advance(p.entry)
			n.wait(p, false)
			q, err := n.Point(p.point)
			if err != nil {
				b.Fatal(err)
			}
			buf := make([]byte, c.bytes)
			steps := size / c.bytes
			b.SetBytes(int64(c.bytes))
			for i := 0; b.Loop(); i++ {
				k := i % steps
				if !c.seq {
					k = src.rng.IntN(steps)
				}
				if err := q.ReadAt(v.id, buf, int64(k)*int64(c.bytes)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCompaction overwrites a tenth of a volume of 64 MiB at random, block by block, with every point, keeps four
// points, and empties packs: an operation is one point. Reported are the write amplification and what the store takes in
// proportion to the content that is live.
func BenchmarkCompaction(b *testing.B) {
	const size = 64 << 20
	src, v, p := benchSource(b, size, false)
	n := newNode(b, nil, src, func(o *Options) { o.CompactBytesPerSec = 1 << 40 })
	points := []*sourcePoint{p}
	n.Advance(p.entry)
	n.wait(p, false)
	b.SetBytes(size / 10)
	for b.Loop() {
		b.StopTimer()
		for range size / 10 / 4096 {
			v.write(int64(src.rng.IntN(size/4096))*4096, src.random(4096))
		}
		p := src.seal()
		points = append(points, p)[max(0, len(points)-3):]
		b.StartTimer()
		n.Advance(p.entry)
		n.wait(p, false)
		n.Reconcile(src.group, kept(points))
		n.settle()
		n.compact()
	}
	u := n.Usage()
	b.ReportMetric(float64(u.WrittenBytes+u.RewrittenBytes)/float64(u.WrittenBytes), "written/new")
	b.ReportMetric(float64(u.PackBytes)/float64(u.BlocksLive*4096), "stored/live")
}
