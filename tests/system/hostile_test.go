package system

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirstor/weir/target/iscsi"
	"github.com/weirstor/weir/target/iscsi/initiator"
	"github.com/weirstor/weir/target/iscsi/wire"
	"github.com/weirstor/weir/target/memory"
	"github.com/weirstor/weir/target/nbd"
	"github.com/weirstor/weir/target/nbd/client"
)

// siege is hostile load on both doors, until its context ends.
type siege struct {
	ctx        context.Context
	nbd, iscsi string // addresses
	wg         sync.WaitGroup
	acts       atomic.Int64 // things done, to show that there was an attack

	mu    sync.Mutex
	conns []net.Conn
}

// dial connects; the connection stays open until the siege ends.
func (s *siege) dial(addr string) (net.Conn, error) {
	c, err := net.Dial("tcp", addr)
	if err == nil {
		s.mu.Lock()
		s.conns = append(s.conns, c)
		s.mu.Unlock()
	}
	return c, err
}

// keep repeats act until the siege ends. What the server does with it does not matter.
func (s *siege) keep(act func()) {
	s.wg.Go(func() {
		for s.ctx.Err() == nil {
			act()
			s.acts.Add(1)
		}
	})
}

// halfOpen holds n connections that say nothing, and opens the next one when there are enough.
func (s *siege) halfOpen(addr string, n int) {
	held := make([]net.Conn, n)
	i := 0
	s.keep(func() {
		if held[i%n] != nil {
			_ = held[i%n].Close()
		}
		held[i%n], _ = net.Dial("tcp", addr)
		if i++; i > n {
			s.pause(time.Millisecond)
		}
	})
	context.AfterFunc(s.ctx, func() {
		s.wg.Wait()
		for _, c := range held {
			if c != nil {
				_ = c.Close()
			}
		}
	})
}

// pause waits for d or the end.
func (s *siege) pause(d time.Duration) {
	select {
	case <-s.ctx.Done():
	case <-time.After(d):
	}
}

// rubbish sends what no client should, over and over.
func (s *siege) rubbish(addr string, inputs [][]byte) {
	i := 0
	s.keep(func() {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			s.pause(time.Millisecond)
			return
		}
		_ = c.SetDeadline(time.Now().Add(100 * time.Millisecond))
		_, _ = c.Write(inputs[i%len(inputs)])
		_, _ = c.Read(make([]byte, 4096))
		_ = c.Close()
		i++
	})
}

// floods logs in and out as fast as it goes, and asks for targets that are not there.
func (s *siege) floods() {
	s.keep(func() {
		if c, err := client.Dial(s.nbd, "bad"); err == nil {
			_ = c.Close()
		}
		_, _ = client.Dial(s.nbd, "none")
	})
	n := 0
	s.keep(func() {
		n++
		opt := initiator.Options{Name: fmt.Sprintf("iqn.2026-11.io.weir.test:flood%d", n%5), LoginTimeout: time.Second}
		if i, err := initiator.Dial(s.ctx, s.iscsi, iscsi.IQN("bad"), opt); err == nil {
			_ = i.Logout()
		}
		_, _ = initiator.Dial(s.ctx, s.iscsi, iscsi.IQN("none"), opt)
	})
}

// nbdRequest is a compact request (NBD proto.md, "Request message").
func nbdRequest(command uint16, off uint64, n uint32) []byte {
	b := binary.BigEndian.AppendUint32(nil, 0x25609513)
	b = binary.BigEndian.AppendUint16(b, 0)
	b = binary.BigEndian.AppendUint16(b, command)
	b = binary.BigEndian.AppendUint64(b, 7)
	b = binary.BigEndian.AppendUint64(b, off)
	return binary.BigEndian.AppendUint32(b, n)
}

// enterNBD is the shortest handshake (section "NBD_OPT_EXPORT_NAME (1)").
func enterNBD(name string) []byte {
	b := binary.BigEndian.AppendUint32(nil, 3)
	b = binary.BigEndian.AppendUint64(b, 0x49484156454f5054)
	b = binary.BigEndian.AppendUint32(b, 1)
	b = binary.BigEndian.AppendUint32(b, uint32(len(name)))
	return append(b, name...)
}

// enterISCSI logs in to "bad" as initiator number i and sends n commands with the given operation code, one MiB each.
func enterISCSI(i int, op, flags byte, n int) []byte {
	var h wire.Header
	h.SetOpcode(wire.LoginReq)
	h.SetImmediate()
	h.SetFlags(wire.Transit | 1<<2 | 3)
	copy(h[wire.OffISID:], []byte{0x80, 0, 0, 0, 0, byte(i)})
	h.SetWord(wire.OffCmdSN, 1)
	var text []byte
	for _, kv := range [][2]string{{"InitiatorName", fmt.Sprintf("iqn.2026-11.io.weir.test:bad%d", i)},
		{"SessionType", "Normal"}, {"TargetName", iscsi.IQN("bad")}} {
		text = wire.AppendText(text, wire.Pair{Key: kv[0], Value: kv[1]})
	}
	b := wire.AppendPDU(nil, &h, text, false, false)
	for k := range n {
		var c wire.Header
		c.SetOpcode(wire.SCSICommand)
		c.SetFlags(wire.Final | flags)
		c.SetITT(uint32(k + 1))
		c.SetWord(wire.OffEDTL, 1<<20)
		c.SetWord(wire.OffCmdSN, uint32(k+1))
		c[wire.OffCDB] = op
		binary.BigEndian.PutUint16(c[wire.OffCDB+7:], 1<<20/512)
		b = wire.AppendPDU(b, &c, nil, false, false)
	}
	return b
}

// deaf asks for much and takes nothing of it.
func (s *siege) deaf(i int) {
	if c, err := s.dial(s.nbd); err == nil {
		_, _ = c.Write(append(enterNBD("bad"), bytes.Repeat(nbdRequest(0, 0, 4<<20), 100)...))
	}
	if c, err := s.dial(s.iscsi); err == nil {
		_, _ = c.Write(enterISCSI(2*i, 0x28, wire.CommandRead, 100))
	}
}

// slow begins writes and sends their data a byte at a time.
func (s *siege) slow(i int) {
	n, _ := s.dial(s.nbd)
	c, _ := s.dial(s.iscsi)
	if n == nil || c == nil {
		return
	}
	_, _ = n.Write(append(enterNBD("bad"), nbdRequest(1, 0, 1<<20)...))
	_, _ = c.Write(append(enterISCSI(2*i+1, 0x2a, wire.CommandWrite, 50), 0x05, 0x80)) // and the start of a Data-Out
	s.keep(func() {
		_, _ = n.Write([]byte{1})
		_, _ = c.Write([]byte{0})
		s.pause(10 * time.Millisecond)
	})
}

// lay begins the siege.
func (s *siege) lay(rnd *rand.Rand) {
	s.halfOpen(s.nbd, 1000)
	s.halfOpen(s.iscsi, 1000)
	s.rubbish(s.nbd, badInputs(rnd, "nbd"))
	s.rubbish(s.iscsi, badInputs(rnd, "iscsi"))
	s.floods()
	for i := range 8 {
		s.deaf(i)
		s.slow(i)
	}
}

// lift joins everything.
func (s *siege) lift() {
	s.wg.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		_ = c.Close()
	}
}

// goodInitiator writes blocks and reads them back until ctx ends. It returns how often.
func goodInitiator(ctx context.Context, s *initiator.Session, rnd *rand.Rand) (rounds int, err error) {
	p, got := make([]byte, 16<<10), make([]byte, 16<<10)
	for ; ctx.Err() == nil; rounds++ {
		off := rnd.Int64N((doorBytes-int64(len(p)))/512) * 512
		for i := 0; i < len(p); i += 8 {
			binary.BigEndian.PutUint64(p[i:], rnd.Uint64())
		}
		if err := errors.Join(s.WriteAt(p, off, rounds%8 == 0), s.ReadAt(got, off)); err != nil {
			return rounds, fmt.Errorf("round %d: %w", rounds, err)
		}
		if !bytes.Equal(p, got) {
			return rounds, fmt.Errorf("round %d reads back something else at %d", rounds, off)
		}
	}
	return rounds, nil
}

// Thousands of half-open connections, floods of logins, clients that take no answers, that send a byte at a time or
// rubbish, on both doors at once: fio over NBD, which checks all that it reads, and a good initiator notice nothing.
func TestHostileClients(t *testing.T) {
	need(t, "fio")
	ctx := testContext(t, 5*time.Minute)
	rnd := newRand(t)
	var ts targets
	ts.add("good", iscsi.Access{})
	ts.add("bad", iscsi.Access{})
	es := exports{"good": {Device: memory.New(64<<20, 4096)}, "bad": {Device: memory.New(64<<20, 4096)}}
	nbdServer, nbdAddr := es.serve(t, nbd.Options{DrainTimeout: time.Second})
	iscsiServer, iscsiAddr := ts.serve(t, iscsi.Options{LogoutGrace: time.Second})
	good, err := initiator.Dial(ctx, iscsiAddr, iscsi.IQN("good"), initiator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = good.Logout() }()

	under, end := context.WithCancel(ctx)
	defer end()
	s := &siege{ctx: under, nbd: nbdAddr, iscsi: iscsiAddr}
	s.lay(rand.New(rand.NewPCG(rnd.Uint64(), 1)))
	var rounds int
	var goodErr error
	checked, seed := make(chan struct{}), rnd.Uint64()
	go func() {
		defer close(checked)
		rounds, goodErr = goodInitiator(under, good, rand.New(rand.NewPCG(seed, 2)))
	}()
	out := run(t, ctx, "fio", "--name=good", "--ioengine=nbd", "--uri=nbd://"+nbdAddr+"/good", "--rw=randrw",
		"--bsrange=4k-64k", "--blockalign=4k", "--iodepth=16", "--size=64m", "--io_size=128m", "--verify=crc32c",
		"--verify_state_save=0", "--fsync=64")
	if bytes.Contains([]byte(out), []byte("verify:")) || !bytes.Contains([]byte(out), []byte("err= 0")) {
		t.Errorf("fio noticed:\n%s", out)
	}
	end()
	<-checked
	s.lift()
	if goodErr != nil || rounds == 0 {
		t.Errorf("the good initiator, after %d rounds: %v", rounds, goodErr)
	}
	t.Logf("%d hostile acts, %d rounds of the good initiator", s.acts.Load(), rounds)
	if s.acts.Load() < 100 {
		t.Errorf("%d hostile acts are no attack", s.acts.Load())
	}
	await(t, "the bad clients to be gone", func() bool {
		return len(nbdServer.Sessions()) == 0 && len(iscsiServer.Sessions()) == 1
	})
}
