package stamp

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/weirstor/weir/target"
	"github.com/weirstor/weir/target/memory"
)

// mortal fails every request after a number of writes; spoil, when set, changes what it stores.
type mortal struct {
	target.Device
	mu    sync.Mutex
	left  int
	spoil func(p []byte)
}

var errDead = errors.New("server died")

func (m *mortal) WriteAt(p []byte, off int64, fua bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left--; m.left < 0 {
		return errDead
	}
	if m.spoil != nil {
		p = append([]byte(nil), p...)
		m.spoil(p)
	}
	return m.Device.WriteAt(p, off, fua)
}

func (m *mortal) WriteZeroes(off, n int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left--; m.left < 0 {
		return errDead
	}
	return m.Device.WriteZeroes(off, n, 0)
}

const testBlocks = 512

func runRound(t *testing.T, h *History, dev target.Device, seed uint64, spoil func([]byte)) (State, error) {
	t.Helper()
	m := &mortal{Device: dev, left: 2000, spoil: spoil}
	w := Workload{Seed: seed, InFlight: 16, Blocks: testBlocks}
	if err := w.Run(context.Background(), h, []Device{m}, []uint32{3}); !errors.Is(err, errDead) {
		t.Fatalf("workload ended with %v, want the death of the server", err)
	}
	s := State{}
	return s, h.ReadState(s, 3, dev, testBlocks*BlockSize)
}

func TestRoundsOnAnHonestDevice(t *testing.T) {
	dev := memory.New(testBlocks*BlockSize, 512)
	h := NewHistory(42)
	for seed := range uint64(4) {
		s, err := runRound(t, h, dev, seed, nil)
		if err == nil {
			err = h.Check(s, ProcessDeath())
		}
		if err != nil {
			t.Fatalf("round %d: %v", seed, err)
		}
		h.Continue(s)
	}
}

func TestSpoiledBlockIsSeen(t *testing.T) {
	dev := memory.New(testBlocks*BlockSize, 512)
	_, err := runRound(t, NewHistory(42), dev, 1, func(p []byte) { p[3000] ^= 1 })
	if err == nil || !strings.Contains(err.Error(), "torn block") {
		t.Errorf("a changed bit: %v", err)
	}
}

func TestMisplacedBlockIsSeen(t *testing.T) {
	dev := memory.New(testBlocks*BlockSize, 512)
	h := NewHistory(42)
	op := h.Submit(Place{3, 1}, 1, false, false)
	p := make([]byte, BlockSize)
	h.Payload(op, p)
	if err := dev.WriteAt(p, 2*BlockSize, false); err != nil {
		t.Fatal(err)
	}
	if err := h.ReadState(State{}, 3, dev, testBlocks*BlockSize); err == nil {
		t.Error("a block at another place was accepted")
	}
	if err := NewHistory(43).ReadState(State{}, 3, dev, testBlocks*BlockSize); err == nil {
		t.Error("a block of another history was accepted")
	}
}
