package raftstore

import (
	"sync"
	"sync/atomic"
	"testing"
)

// BenchmarkCommits commits small epochs, their pack inline, of a thousand groups at once, on three nodes on loopback.
func BenchmarkCommits(b *testing.B) {
	c := startCluster(b, 3)
	const groups = 1000
	var gateways []*testGateway
	cl := c.client()
	for range groups {
		g := c.gateway()
		g.cl = cl
		g.mustOpen()
		gateways = append(gateways, g)
	}
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	for _, g := range gateways {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for left.Add(-1) >= 0 {
				p := randomPack(300)
				if _, err := g.send(g.next("", p), p); err != nil {
					b.Error(err)
					return
				}
			}
		}()
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}

// BenchmarkPut puts packs of 1 MiB to three nodes on loopback.
func BenchmarkPut(b *testing.B) {
	c := startCluster(b, 3)
	g := c.gateway()
	g.mustOpen()
	p := randomPack(1 << 20)
	b.SetBytes(int64(len(p.Bytes)))
	b.ResetTimer()
	var wg sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(b.N))
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for left.Add(-1) >= 0 {
				if err := g.put(randomPack(1 << 20)); err != nil {
					b.Error(err)
					return
				}
			}
		}()
	}
	wg.Wait()
}
