package nbd

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/weirstor/weir/target"
)

var styles = map[string]style{"simple": simple, "structured": structured, "extended": extended}

// inStyles runs test for each form of replies, on a fresh device of 64 MiB called "v".
func inStyles(t *testing.T, test func(t *testing.T, dev *probe, c *client)) {
	for name, form := range styles {
		t.Run(name, func(t *testing.T) {
			dev := newProbe(64<<20, 512)
			_, addr := startServer(t, shelf{"v": dev}, Options{})
			test(t, dev, attach(t, addr, "v", form))
		})
	}
}

func TestReadsWhatWasWritten(t *testing.T) {
	inStyles(t, func(t *testing.T, _ *probe, c *client) {
		sizes := []int{1, 511, 4096, 100_000, 1 << 20, windowBytes - requestSize, windowBytes, 3<<20 + 777, MaxPayload}
		for i, n := range sizes {
			off := uint64(i * 1000)
			want := pattern(byte(i), n)
			if n == MaxPayload && c.form != structured {
				continue // the same path in all forms, and slow with the race detector
			}
			c.mustWrite(off, want)
			c.mustRead(off, want)
			c.mustRead(off+uint64(n/2), want[n/2:])
		}
		c.mustCall(0, cmdWrite, 0, 5, 0, []byte{})
		c.mustCall(0, cmdRead, 0, 5, 0, nil)
	})
}

func TestEveryCommandReachesTheDevice(t *testing.T) {
	inStyles(t, func(t *testing.T, dev *probe, c *client) {
		c.mustWrite(0, pattern(1, 64<<10))
		c.mustCall(0, cmdWriteZeroes, 0, 0, 4096, nil)
		c.mustCall(0, cmdTrim, 0, 8192, 4096, nil)
		c.mustCall(0, cmdFlush, 0, 0, 0, nil)
		c.mustCall(0, cmdCache, 0, 0, 1<<20, nil)
		want := pattern(1, 64<<10)
		clear(want[:4096])
		clear(want[8192:12288])
		c.mustRead(0, want)
		for _, method := range []string{"zero", "trim", "flush"} {
			if dev.count(method) != 1 {
				t.Errorf("%s was called %d times, want once", method, dev.count(method))
			}
		}
	})
}

// TestFUAReachesTheDevice: proto.md, "Command flags": FUA counts on every mutating command, and is accepted on all.
func TestFUAReachesTheDevice(t *testing.T) {
	inStyles(t, func(t *testing.T, dev *probe, c *client) {
		c.mustCall(0, cmdWrite, cmdFlagFUA, 0, 512, pattern(1, 512))
		c.mustCall(0, cmdTrim, cmdFlagFUA, 0, 512, nil)
		c.mustCall(0, cmdWriteZeroes, cmdFlagFUA|cmdFlagNoHole, 0, 512, nil)
		c.mustCall(0, cmdWriteZeroes, cmdFlagFastZero, 0, 512, nil)
		c.mustCall(0, cmdRead, cmdFlagFUA, 0, 512, nil)
		c.mustCall(0, cmdFlush, cmdFlagFUA, 0, 0, nil)
		dev.mu.Lock()
		fuas, flags := dev.fuas, dev.flags
		dev.mu.Unlock()
		if fuas != 2 {
			t.Errorf("%d writes and trims had FUA, want 2", fuas)
		}
		want := []target.ZeroFlags{target.ZeroFUA | target.ZeroNoHole, target.ZeroFast}
		if fmt.Sprint(flags) != fmt.Sprint(want) {
			t.Errorf("write zeroes had flags %v, want %v", flags, want)
		}
		// Larger than the window: stored in pieces, so one flush stands for the FUA of all.
		before := dev.count("flush")
		c.mustCall(0, cmdWrite, cmdFlagFUA, 0, 4<<20, pattern(2, 4<<20))
		if dev.count("flush") != before+1 {
			t.Errorf("a large write with FUA was not flushed")
		}
	})
}

func TestErrnos(t *testing.T) {
	damage := &target.MediumError{Off: 4096, Len: 4096, Err: errors.New("checksum differs")}
	wrapped := func(err error) error { return fmt.Errorf("volume v: %w", err) }
	tests := []struct {
		name   string
		method string
		err    error
		cmd    command
		flags  uint16
		want   errno
	}{
		{"write out of range", "write", wrapped(target.ErrOutOfRange), cmdWrite, 0, eNOSPC},
		{"read out of range", "read", target.ErrOutOfRange, cmdRead, 0, eINVAL},
		{"read-only", "write", wrapped(target.ErrReadOnly), cmdWrite, 0, ePERM},
		{"no space", "write", wrapped(target.ErrNoSpace), cmdWrite, 0, eNOSPC},
		{"fenced", "write", target.ErrFenced, cmdWrite, 0, ePERM},
		{"closed", "flush", target.ErrClosed, cmdFlush, 0, eSHUTDOWN},
		{"not fast", "zero", target.ErrNotFast, cmdWriteZeroes, cmdFlagFastZero, eNOTSUP},
		{"damage", "read", wrapped(damage), cmdRead, 0, eIO},
		{"anything else", "read", errors.New("boom"), cmdRead, 0, eIO},
		{"failed flush", "flush", target.ErrIO, cmdFlush, 0, eIO},
		{"failed trim", "trim", target.ErrIO, cmdTrim, 0, eIO},
		{"failed zeroes", "zero", target.ErrIO, cmdWriteZeroes, 0, eIO},
		{"failed write with FUA", "write", target.ErrIO, cmdWrite, cmdFlagFUA, eIO},
		{"failed cache", "read", target.ErrIO, cmdCache, 0, eIO},
	}
	inStyles(t, func(t *testing.T, dev *probe, c *client) {
		for _, test := range tests {
			off, n, payload := uint64(0), uint64(16384), []byte(nil)
			if test.cmd == cmdFlush {
				n = 0
			}
			if test.cmd == cmdWrite {
				payload = make([]byte, n)
			}
			dev.setFail(test.method, test.err)
			res := c.call(test.cmd, test.flags, off, n, payload)
			dev.setFail(test.method, nil)
			if res.errno != test.want {
				t.Errorf("%s: errno %d, want %d", test.name, res.errno, test.want)
			}
			if c.form != simple && res.text != test.err.Error() {
				t.Errorf("%s: text %q, want %q", test.name, res.text, test.err)
			}
			if c.form != simple && test.name == "damage" && res.errOff != 4096 {
				t.Errorf("damage is reported at %d, want 4096", res.errOff)
			}
			c.mustCall(0, cmdRead, 0, 0, 512, nil) // the connection goes on
		}
	})
}

func TestRefusedRequests(t *testing.T) {
	const size = 64 << 20
	tests := []struct {
		name   string
		cmd    command
		flags  uint16
		off, n uint64
		want   errno
	}{
		{"read at the end", cmdRead, 0, size, 512, eINVAL},
		{"read across the end", cmdRead, 0, size - 512, 1024, eINVAL},
		{"read far beyond", cmdRead, 0, 1<<64 - 512, 1024, eINVAL},
		{"write across the end", cmdWrite, 0, size - 512, 1024, eNOSPC},
		{"write far beyond", cmdWrite, 0, 1<<64 - 512, 1024, eNOSPC},
		{"trim across the end", cmdTrim, 0, size - 512, 1024, eINVAL},
		{"zeroes across the end", cmdWriteZeroes, 0, size - 512, 1024, eNOSPC},
		{"cache across the end", cmdCache, 0, size - 512, 1024, eINVAL},
		{"flush with a range", cmdFlush, 0, 512, 512, eINVAL},
		{"unknown command", 42, 0, 0, 0, eINVAL},
		{"resize", 8, 0, 0, 512, eINVAL},
		{"unknown flag", cmdRead, 1 << 9, 0, 512, eINVAL},
		{"write with DF", cmdWrite, cmdFlagDF, 0, 512, eINVAL},
		{"read with NO_HOLE", cmdRead, cmdFlagNoHole, 0, 512, eINVAL},
		{"trim with FAST_ZERO", cmdTrim, cmdFlagFastZero, 0, 512, eINVAL},
		{"cache with REQ_ONE", cmdCache, cmdFlagReqOne, 0, 512, eINVAL},
		{"block status without a context", cmdBlockStatus, 0, 0, 512, eINVAL},
	}
	inStyles(t, func(t *testing.T, dev *probe, c *client) {
		for _, test := range tests {
			var payload []byte
			if test.cmd == cmdWrite {
				payload = make([]byte, test.n)
			}
			if res := c.call(test.cmd, test.flags, test.off, test.n, payload); res.errno != test.want {
				t.Errorf("%s: errno %d, want %d", test.name, res.errno, test.want)
			}
		}
		if dev.count("write")+dev.count("trim")+dev.count("zero") > 0 {
			t.Errorf("a refused request reached the device: %v", dev.calls)
		}
		c.mustCall(0, cmdRead, 0, 0, 512, nil)
	})
}

// TestOversize: proto.md, "Size constraints": a payload somewhat too large is dropped and refused, a READ too large is
// refused.
func TestOversize(t *testing.T) {
	dev := newProbe(128<<20, 512)
	_, addr := startServer(t, shelf{"v": dev}, Options{})
	for name, form := range styles {
		c := attach(t, addr, "v", form)
		want := eOVERFLOW
		if form == simple {
			want = eINVAL
		}
		c.mustCall(want, cmdRead, 0, 0, MaxPayload+512, nil)
		if form == extended {
			c.mustCall(eINVAL, cmdRead, 0, 0, 1<<40, nil)
			c.write(c.header(request{cmd: cmdWrite, flags: cmdFlagPayloadLen, n: MaxPayload + 1}))
			c.gone()
			continue
		}
		c.mustCall(eINVAL, cmdWrite, 0, 0, MaxPayload+512, make([]byte, MaxPayload+512))
		c.mustCall(0, cmdRead, 0, 0, 512, nil)
		c.write(c.header(request{cmd: cmdWrite, n: 2*MaxPayload + 1}))
		c.gone()
		if dev.count("write") > 0 {
			t.Errorf("%s: an oversize write reached the device", name)
		}
	}
}

func TestReadOnlyExport(t *testing.T) {
	dev := newProbe(1<<20, 512)
	dev.readOnly = true
	_, addr := startServer(t, shelf{"v": dev}, Options{})
	c := attach(t, addr, "v", structured)
	if c.flags&flagReadOnly == 0 || c.flags&(flagSendTrim|flagSendWriteZeroes) != 0 {
		t.Errorf("transmission flags are %#x", c.flags)
	}
	c.mustCall(ePERM, cmdWrite, 0, 0, 512, make([]byte, 512))
	c.mustCall(ePERM, cmdTrim, 0, 0, 512, nil)
	c.mustCall(ePERM, cmdWriteZeroes, 0, 0, 512, nil)
	c.mustCall(0, cmdFlush, 0, 0, 0, nil)
	c.mustCall(0, cmdRead, 0, 0, 512, nil)
}

// TestAlignment: proto.md, "Size constraints": a client that asked for the block sizes has to keep to them, another may
// send what it likes.
func TestAlignment(t *testing.T) {
	dev := newProbe(1<<20, 4096)
	_, addr := startServer(t, shelf{"v": dev}, Options{})
	asked := dial(t, addr, clientFixedNewstyle)
	asked.begin("v", simple, infoBlockSize)
	asked.mustCall(eINVAL, cmdWrite, 0, 512, 4096, make([]byte, 4096))
	asked.mustCall(eINVAL, cmdRead, 0, 4096, 512, nil)
	asked.mustCall(0, cmdRead, 0, 4096, 4096, nil)
	other := attach(t, addr, "v", simple)
	other.mustWrite(513, pattern(3, 77))
	other.mustRead(513, pattern(3, 77))
}

func TestSparseRead(t *testing.T) {
	const m = 1 << 20
	for _, form := range []style{structured, extended} {
		dev := newProbe(8*m, 512)
		want := make([]byte, 8*m)
		copy(want[2*m:], pattern(4, m))
		copy(want[5*m:], pattern(5, 1024))
		if err := dev.Device.WriteAt(want, 0, false); err != nil {
			t.Fatal(err)
		}
		dev.holes = []target.Extent{
			{Off: 0, Len: 2 * m, Kind: target.Hole}, {Off: 2 * m, Len: m, Kind: target.Data},
			{Off: 3 * m, Len: 2 * m, Kind: target.Zero}, {Off: 5 * m, Len: 1024, Kind: target.Data},
			{Off: 5*m + 1024, Len: 1024, Kind: target.Hole}, // too short to be told
			{Off: 5*m + 2048, Len: 3*m - 2048, Kind: target.Hole},
		}
		_, addr := startServer(t, shelf{"v": dev}, Options{})
		c := attach(t, addr, "v", form)
		res := c.mustCall(0, cmdRead, 0, 0, 8*m, nil)
		if !bytes.Equal(res.data, want) || res.holes != 3 || res.chunks != 5 {
			t.Errorf("sparse read: equal %v, %d holes in %d chunks", bytes.Equal(res.data, want), res.holes, res.chunks)
		}
		res = c.mustCall(0, cmdRead, cmdFlagDF, m, 4*m, nil)
		if !bytes.Equal(res.data, want[m:5*m]) || res.chunks != 1 || res.holes != 0 {
			t.Errorf("DF read came in %d chunks with %d holes", res.chunks, res.holes)
		}
		dev.setFail("read", target.ErrIO)
		c.mustCall(eIO, cmdRead, 0, 0, 8*m, nil)
		dev.setFail("read", nil)
		dev.setFail("extents", target.ErrIO) // a device that can not tell its extents can still be read
		c.mustRead(0, want)
	}
}
