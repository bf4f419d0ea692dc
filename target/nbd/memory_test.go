package nbd

import (
	"errors"
	"runtime"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The connections together never hold more than their parts and the pool; each always gets what fits into its part;
// and nothing is left when all have given back.
func TestBudget(t *testing.T) {
	const total = 64 << 20
	rapid.Check(t, func(t *rapid.T) {
		p := newPool(total)
		conns := make([]budget, rapid.IntRange(1, 100).Draw(t, "connections"))
		p.share(len(conns), total)
		for i := range conns {
			conns[i].init(p, minConnBytes)
		}
		type held struct {
			b *budget
			g grant
		}
		var all []held
		var own, pooled int64
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			if len(all) > 0 && rapid.Bool().Draw(t, "release") {
				i := rapid.IntRange(0, len(all)-1).Draw(t, "which")
				all[i].b.release(all[i].g)
				all = append(all[:i], all[i+1:]...)
			} else {
				b := &conns[rapid.IntRange(0, len(conns)-1).Draw(t, "who")]
				n := rapid.Int64Range(1, MaxPayload+replyRoom).Draw(t, "bytes")
				fits := b.own+n <= p.own.Load() && b.own+b.pooled+n <= b.most
				g, ok := b.tryAcquire(n)
				if ok {
					all = append(all, held{b, g})
				}
				if fits && (!ok || g.pooled) {
					t.Fatalf("%d bytes fit into the connection's part: %v, %+v", n, ok, g)
				}
			}
			own, pooled = 0, 0
			for _, h := range all {
				if h.g.pooled {
					pooled += h.g.n
				} else {
					own += h.g.n
				}
			}
			if pooled+p.free != total || own > max(total, int64(len(conns))*ownLeast) {
				t.Fatalf("%d of the pool and %d of their own are out, %d are free", pooled, own, p.free)
			}
		}
		for _, h := range all {
			h.b.release(h.g)
		}
		if p.free != total {
			t.Fatalf("%d of %d are free at the end", p.free, total)
		}
	})
}

// Whoever waits is woken by memory of its own connection, by the pool, and by the end of the connection.
func TestBudgetWakes(t *testing.T) {
	const big = 20 << 20
	for name, wake := range map[string]func(a, b *budget, ofA, ofB grant){
		"own":  func(_, b *budget, _, ofB grant) { b.release(ofB) },
		"pool": func(a, _ *budget, ofA, _ grant) { a.release(ofA) },
		"end":  func(_, b *budget, _, _ grant) { b.close() },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPool(2 * big)
			p.share(2, 2*ownLeast)
			var a, b budget
			a.init(p, minConnBytes)
			b.init(p, 3*big)
			ofA, errA := a.acquire(big)
			ofB, errB := b.acquire(big)
			if err := errors.Join(errA, errB); err != nil {
				t.Fatal(err)
			}
			got := make(chan error, 1)
			go func() { _, err := b.acquire(big); got <- err }()
			wait(t, "the wait", func() bool {
				p.mu.Lock()
				defer p.mu.Unlock()
				return len(p.waiting) == 1
			})
			wake(&a, &b, ofA, ofB)
			if err := <-got; (name == "end") != errors.Is(err, errBroken) {
				t.Errorf("acquire returned %v", err)
			}
		})
	}
}

// TestDeafClientsHoldNobodyUp: clients that ask for as much as they may and take no replies use up the pool; another
// client is served from its own part.
func TestDeafClientsHoldNobodyUp(t *testing.T) {
	dev := newProbe(32<<20, 512)
	srv, addr := startServer(t, shelf{"v": dev}, Options{ConnBytes: 1, TotalBytes: 1, DrainTimeout: time.Millisecond})
	for range 4 {
		deaf := attach(t, addr, "v", simple)
		for range 4 {
			deaf.submit(cmdRead, 0, 0, 32<<20, nil)
		}
	}
	wait(t, "the pool to be used up", func() bool {
		srv.bytes.mu.Lock()
		defer srv.bytes.mu.Unlock()
		return len(srv.bytes.waiting) > 0
	})
	good, zeroes := attach(t, addr, "v", simple), make([]byte, 1<<20)
	for range 100 {
		good.mustRead(0, zeroes)
	}
}

// TestIdleConnectionIsSmall: a connection that has done its work and waits holds less than 1 MiB.
func TestIdleConnectionIsSmall(t *testing.T) {
	const conns = 50
	_, addr := startServer(t, shelf{"v": newProbe(4<<20, 512)}, Options{})
	p := make([]byte, 1<<20)
	before := inUse()
	for range conns {
		c := attach(t, addr, "v", structured)
		c.mustRead(0, p)
		c.mustCall(0, cmdWrite, 0, 0, 1<<20, p)
	}
	deadline := time.Now().Add(time.Minute)
	for each := int64(1 << 40); each >= 1<<20; time.Sleep(50 * time.Millisecond) {
		if each = (inUse() - before) / conns; each >= 1<<20 && time.Now().After(deadline) {
			t.Fatalf("an idle connection holds %d KiB, want less than 1024", each>>10)
		}
	}
}

// inUse returns the memory of this process in use after a garbage collection.
func inUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}
