package system

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/target/nbd/client"
	"github.com/weirstor/weir/tests/harness"
)

// TestCutover moves a volume away under a writer that never stops: a hook that fails undoes everything, one that fails
// behind the point of no return is repeated, and every write that was acknowledged is on the disk.
func TestCutover(t *testing.T) {
	ctx := testContext(t, 4*time.Minute)
	disk := filepath.Join(t.TempDir(), "disk.img")
	d := start(t, ctx, upSpec(t, "--volume", "v:256M", "--epoch", "200ms"))
	declined(t, ctx, d, 5, "migrate", "start") // there is no disk
	weir(t, ctx, d, "disk", "add", "v", "raw", disk)
	weir(t, ctx, d, "migrate", "start")
	declined(t, ctx, d, 5, "migrate", "start") // one is active
	w := startWriter(t, d)

	hook(t, d, "quiesce", "exit 3")
	if out := cutoverFails(t, ctx, d); !strings.Contains(out, "the source goes on") {
		t.Errorf("a failed hook says: %s", out)
	}
	w.goesOn(t, ctx)

	hook(t, d, "quiesce", "touch "+filepath.Join(d.Data, "quiesced"))
	hook(t, d, "start", `test -e `+filepath.Join(d.Data, "ready")+` && printf '%s %s' "$WEIR_POINT" "$WEIR_DISKS" >`+filepath.Join(d.Data, "started"))
	if out := cutoverFails(t, ctx, d); !strings.Contains(out, "go on with: weir migrate cutover") {
		t.Errorf("a failed start says: %s", out)
	}
	acked := w.end(t)
	declined(t, ctx, d, 5, "migrate", "abort")

	if err := d.Stop(); err != nil {
		t.Error(err)
	}
	d, err := d.Restart(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { checkEnd(t, d) })
	refusesWrites(t, d)
	if err := os.WriteFile(filepath.Join(d.Data, "ready"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var m api.Migration
	if err := json.Unmarshal([]byte(weir(t, ctx, d, "migrate", "cutover", "--json")), &m); err != nil {
		t.Fatal(err)
	}
	if m.State != "done" || len(m.Steps) != 7 {
		t.Errorf("the migration is %+v", m)
	}
	t.Logf("%d writes acknowledged, steps %+v", acked, m.Steps)
	started, err := os.ReadFile(filepath.Join(d.Data, "started"))
	if err != nil || string(started) != m.Point+" v="+disk {
		t.Errorf("the start hook was told %q (%v), want point %s and the disk", started, err, m.Point)
	}
	if _, err := os.Stat(filepath.Join(d.Data, "quiesced")); err != nil {
		t.Error("the quiesce hook did not run")
	}
	holdsAll(t, disk, acked)
	refusesWrites(t, d)
}

// TestCutoverIsTakenBack loses the destination behind the point of no return: the operator takes the group back, and the
// source works again with everything that it had acknowledged.
func TestCutoverIsTakenBack(t *testing.T) {
	ctx := testContext(t, 4*time.Minute)
	d := start(t, ctx, upSpec(t, "--volume", "v:256M", "--epoch", "200ms", "--disk", "v:raw:"+filepath.Join(t.TempDir(), "disk.img")))
	weir(t, ctx, d, "wait", "v")
	weir(t, ctx, d, "migrate", "start")
	want := pattern(3, writerBlock)
	write(t, d, want, 8*writerBlock)
	hook(t, d, "start", "exit 1")
	cutoverFails(t, ctx, d)
	refusesWrites(t, d)
	weir(t, ctx, d, "group", "takeover", "main")
	eventually(t, ctx, "the source takes writes again", func() error {
		c, err := client.Dial(d.Addresses.NBD, "v")
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		return c.WriteAt(want, 16*writerBlock, true)
	})
	reads(t, d, want, 8*writerBlock)
	if out := weir(t, ctx, d, "migrate", "status"); !strings.Contains(out, "aborted") {
		t.Errorf("the migration is not over: %s", out)
	}
}

// hook installs a program that the daemon runs.
func hook(t *testing.T, d *harness.Daemon, name, script string) {
	t.Helper()
	dir := filepath.Join(d.Data, "hooks")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	next := filepath.Join(dir, name+".new")
	if err := os.WriteFile(next, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func cutoverFails(t *testing.T, ctx context.Context, d *harness.Daemon) string {
	t.Helper()
	out, err := harness.Run(ctx, weirBinary, "migrate", "cutover", "--admin", d.Addresses.Admin)
	if err == nil {
		t.Fatalf("the cutover succeeded: %s", out)
	}
	return out + err.Error()
}

// writer writes block after block, each holding its number, one at a time, until a write fails.
type writer struct {
	acked chan uint64 // the newest, for who asks
	last  chan uint64
}

const writerBlock = 4096

func startWriter(t *testing.T, d *harness.Daemon) *writer {
	t.Helper()
	c, err := client.Dial(d.Addresses.NBD, "v")
	if err != nil {
		t.Fatal(err)
	}
	w := &writer{acked: make(chan uint64), last: make(chan uint64, 1)}
	go func() {
		defer func() { _ = c.Close() }()
		n := uint64(0)
		p := make([]byte, writerBlock)
		for ; ; n++ {
			binary.LittleEndian.PutUint64(p, n+1)
			if err := c.WriteAt(p, int64(n%(256<<20/writerBlock))*writerBlock, false); err != nil {
				w.last <- n
				return
			}
			select {
			case w.acked <- n:
			default:
			}
		}
	}()
	return w
}

// goesOn waits for two further acknowledged writes.
func (w *writer) goesOn(t *testing.T, ctx context.Context) {
	t.Helper()
	for range 2 {
		select {
		case <-w.acked:
		case n := <-w.last:
			t.Fatalf("the source refused write %d although nothing was given away", n)
		case <-ctx.Done():
			t.Fatal("the source stands still")
		}
	}
}

// end returns how many writes were acknowledged before the first that was not.
func (w *writer) end(t *testing.T) uint64 {
	t.Helper()
	select {
	case n := <-w.last:
		return n
	case <-time.After(time.Minute):
		t.Fatal("the source takes writes still")
		return 0
	}
}

// holdsAll checks that each block of the disk holds the newest number that was acknowledged for it, and nothing later.
func holdsAll(t *testing.T, disk string, acked uint64) {
	t.Helper()
	f, err := os.Open(disk)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	const blocks = 256 << 20 / writerBlock
	var b [8]byte
	for i := range min(acked, blocks) {
		want := i + (acked-1-i)/blocks*blocks + 1
		if _, err := f.ReadAt(b[:], int64(i)*writerBlock); err != nil {
			t.Fatal(err)
		}
		if got := binary.LittleEndian.Uint64(b[:]); got != want {
			t.Fatalf("block %d holds write %d, want %d of %d acknowledged", i, got, want, acked)
		}
	}
	if acked < blocks {
		if _, err := f.ReadAt(b[:], int64(acked)*writerBlock); err != nil {
			t.Fatal(err)
		}
		if got := binary.LittleEndian.Uint64(b[:]); got != 0 {
			t.Errorf("the disk holds write %d, which was refused", got)
		}
	}
}

func refusesWrites(t *testing.T, d *harness.Daemon) {
	t.Helper()
	c, err := client.Dial(d.Addresses.NBD, "v")
	if err != nil {
		return // not even that
	}
	defer func() { _ = c.Close() }()
	if err := c.WriteAt(make([]byte, writerBlock), 0, false); err == nil {
		t.Error(fmt.Errorf("the source takes writes after it was given away"))
	}
}
