package iscsi

import (
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirstor/weir/target"
	"github.com/weirstor/weir/target/iscsi/wire"
	"github.com/weirstor/weir/target/memory"
	"pgregory.net/rapid"
)

// single serves one memory volume.
type single struct{ dev target.Device }

func (s single) Target(iqn string) (target.Device, TargetInfo, error) {
	if iqn != IQN("v") {
		return nil, TargetInfo{}, ErrUnknownTarget
	}
	return s.dev, TargetInfo{IQN: iqn, ID: [16]byte{1}}, nil
}

func (s single) List() []TargetInfo { return []TargetInfo{{IQN: IQN("v")}} }

// Session handles are used again, so that logins go on after 65,535 of them (gotgt: all are refused then).
func TestHandlesWrap(t *testing.T) {
	s := NewServer(single{memory.New(1<<20, 512)}, Options{})
	defer s.Close()
	s.mu.lastTSIH = 65530
	held := &conn{srv: s}
	if err := s.register(held, sessionKey{"held", "x"}); err != nil {
		t.Fatal(err)
	}
	for range 3 * 65536 {
		c := &conn{srv: s}
		if err := s.register(c, sessionKey{}); err != nil {
			t.Fatal(err)
		}
		if c.tsih == 0 || c.tsih == held.tsih {
			t.Fatalf("handle %d is not free", c.tsih)
		}
		s.leave(c)
	}
	c := &conn{srv: s, id: sessionID{initiator: "x"}}
	if err := s.register(c, sessionKey{"held", "x"}); err == nil {
		t.Error("a session of the same name was registered beside the one that is there")
	}
	s.mu.Lock()
	delete(s.mu.handles, held.tsih)
	clear(s.mu.sessions)
	s.mu.Unlock()
}

// The budget never gives out more than it has, serves in order, and leaves nobody waiting when all have given back.
func TestBudget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const total = 100
		var limit atomic.Int64
		limit.Store(total)
		b := budget{limit: &limit}
		var running []*task
		var waiting []*task
		grant := func(g *task) {
			if len(waiting) == 0 || waiting[0] != g {
				t.Fatal("served out of order")
			}
			waiting, running = waiting[1:], append(running, g)
		}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			switch {
			case rapid.Bool().Draw(t, "more") || len(running) == 0:
				n := &task{wants: int64(rapid.IntRange(0, total).Draw(t, "wants"))}
				if b.acquire(n) {
					if len(waiting) > 0 {
						t.Fatal("served before those that wait")
					}
					running = append(running, n)
				} else {
					waiting = append(waiting, n)
				}
			case len(waiting) > 0 && rapid.Bool().Draw(t, "forget"):
				i := rapid.IntRange(0, len(waiting)-1).Draw(t, "who")
				if !b.forget(waiting[i]) || b.forget(waiting[i]) {
					t.Fatal("forget: want true, then false")
				}
				waiting = append(waiting[:i:i], waiting[i+1:]...)
				for g := b.release(0); g != nil; g = b.release(0) {
					grant(g)
				}
			default:
				n := running[0]
				running = running[1:]
				for g := b.release(n.held); g != nil; g = b.release(0) {
					grant(g)
				}
			}
			var held int64
			for _, r := range running {
				held += r.held
			}
			if held > total || held != b.used {
				t.Fatalf("%d given out, %d counted, of %d", held, b.used, total)
			}
			if len(running) == 0 && len(waiting) > 0 {
				t.Fatal("all wait and nobody runs")
			}
		}
	})
}

// FuzzConnection: whatever bytes come, before the login or after it, the connection ends when the client goes, and all
// that it began.
func FuzzConnection(f *testing.F) {
	var h wire.Header
	h.SetOpcode(wire.SCSICommand)
	h.SetFlags(wire.Final | wire.CommandRead)
	h.SetWord(wire.OffEDTL, 512)
	h.SetWord(wire.OffCmdSN, 1)
	copy(h[wire.OffCDB:], []byte{0x28, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Add(h[:], true)
	f.Add(fuzzLogin(), false)
	for _, op := range []wire.Opcode{wire.NopOut, wire.TaskRequest, wire.TextReq, wire.DataOut, wire.LogoutReq, wire.SNACKReq} {
		h.SetOpcode(op)
		f.Add(wire.AppendPDU(nil, &h, []byte("SendTargets=All\x00"), false, false), true)
	}
	f.Fuzz(func(t *testing.T, stream []byte, loggedIn bool) {
		s := NewServer(single{memory.New(1<<20, 512)}, Options{LoginTimeout: time.Second})
		client, server := net.Pipe()
		c := newConn(s, server)
		s.mu.Lock()
		s.mu.conns[c] = struct{}{}
		s.mu.Unlock()
		go c.serve()
		go func() { _, _ = io.Copy(io.Discard, client) }()
		if loggedIn {
			_, _ = client.Write(fuzzLogin())
		}
		_, _ = client.Write(stream)
		_ = client.Close()
		select {
		case <-c.done:
		case <-time.After(20 * time.Second):
			t.Fatal("the connection does not end")
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func fuzzLogin() []byte {
	var h wire.Header
	h.SetOpcode(wire.LoginReq)
	h.SetImmediate()
	h.SetFlags(wire.Transit | 1<<2 | 3)
	h.SetWord(wire.OffCmdSN, 1)
	return wire.AppendPDU(nil, &h, wire.AppendText(nil, wire.Pair{Key: "InitiatorName", Value: "iqn.x"},
		wire.Pair{Key: "TargetName", Value: IQN("v")}, wire.Pair{Key: "InitialR2T", Value: "No"}), false, false)
}
