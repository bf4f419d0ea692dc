package appliance

import (
	"errors"
	"testing"
	"time"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/appliance/config"
)

// TestGroupMode changes the mode of a running gateway, flushes in it, loses the provider and starts again.
func TestGroupMode(t *testing.T) {
	c := testConfig(t)
	c.Epoch = config.Duration(time.Hour) // only a flush seals
	c.Volumes = []config.Volume{{Name: "v", Size: 8 << 20, BlockSize: 512}}
	s := start(t, api.RoleAll, c)
	for name, m := range map[string]api.GroupMode{
		"unknown mode": {Mode: "half"}, "async with a limit": {Mode: api.ModeAsync, DegradeAfter: 1},
		"negative limit": {Mode: api.ModeSync, DegradeAfter: -1}, "huge limit": {Mode: api.ModeSync, DegradeAfter: 1e9},
	} {
		if _, err := s.SetGroupMode(t.Context(), groupName, m); !errors.Is(err, api.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.SetGroupMode(t.Context(), "other", api.GroupMode{Mode: api.ModeSync}); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("another group: %v", err)
	}
	if _, err := s.SetGroupMode(t.Context(), groupName, api.GroupMode{Mode: api.ModeSync}); err != nil {
		t.Fatal(err)
	}
	d := dial(t, s, "v")
	for i := range 3 {
		if err := d.WriteAt([]byte{byte(i), 511: 1}, 4096, false); err != nil {
			t.Fatal(err)
		}
		end := s.gateway.group.Pending().ActiveBytes
		if err := d.Flush(); err != nil {
			t.Fatal(err)
		}
		if p := s.gateway.group.Pending(); end == 0 || p.ActiveBytes != 0 || p.Epochs != 0 {
			t.Errorf("a flush was answered while %+v waits", p)
		}
	}
	_ = d.Close()
	stop(t, s)
	s = start(t, api.RoleAll, c)
	if m := s.Status().Groups[0].Mode; m.Mode != api.ModeSync {
		t.Errorf("after a restart: %+v", m)
	}
	// Without its provider the gateway ends all the same, and the flush that waits fails.
	if err := s.provider.Close(); err != nil {
		t.Fatal(err)
	}
	d = dial(t, s, "v")
	if err := d.WriteAt([]byte{9, 511: 1}, 0, false); err != nil {
		t.Fatal(err)
	}
	flushed := make(chan error, 1)
	go func() { flushed <- d.Flush() }()
	for deadline := time.Now().Add(time.Minute); s.gateway.mode().Waiting == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the flush does not wait")
		}
	}
	stop(t, s)
	if err := <-flushed; err == nil {
		t.Error("a flush that was never committed was answered well")
	}
	_ = d.Close()
}

// BenchmarkSyncFlush measures a write of 4 KiB and a flush, over NBD, with gateway and provider in one process.
func BenchmarkSyncFlush(b *testing.B) {
	for _, mode := range []string{api.ModeAsync, api.ModeSync} {
		b.Run(mode, func(b *testing.B) { benchFlush(b, mode) })
	}
}

func benchFlush(b *testing.B, mode string) {
	c := testConfig(b)
	c.Volumes = []config.Volume{{Name: "v", Size: 64 << 20, BlockSize: 512}}
	s := start(b, api.RoleAll, c)
	defer stop(b, s)
	if _, err := s.SetGroupMode(b.Context(), groupName, api.GroupMode{Mode: mode}); err != nil {
		b.Fatal(err)
	}
	d := dial(b, s, "v")
	defer d.Close()
	p := make([]byte, 4096)
	p[0] = 1
	b.ReportAllocs()
	b.SetBytes(int64(len(p)))
	for i := 0; b.Loop(); i++ {
		p[1], p[2] = byte(i), byte(i>>8)
		if err := errors.Join(d.WriteAt(p, int64(i%16384)*4096, false), d.Flush()); err != nil {
			b.Fatal(err)
		}
	}
}

// A gateway that is started without replication says that mode sync, which was set before, does not hold.
func TestSyncWithoutReplication(t *testing.T) {
	c := testConfig(t)
	file, err := openGatewayFile(c.Data)
	if err != nil {
		t.Fatal(err)
	}
	file.Sync = &syncMode{On: true}
	if err := file.write(c.Data); err != nil {
		t.Fatal(err)
	}
	c.Replication = false
	s := start(t, api.RoleAll, c)
	defer stop(t, s)
	if m := s.Status().Groups[0].Mode; m.Mode != api.ModeSync || !m.Degraded {
		t.Errorf("%+v", m)
	}
}
