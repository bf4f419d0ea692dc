package packs

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/weirstor/weir/replicate/pack"
)

// TestRestartBeforeSync ends the process between a write and its fsync, and opens the store again: what Put then says is
// there survives power loss.
func TestRestartBeforeSync(t *testing.T) {
	for name, p := range map[string]pack.Pack{"in the landing log": makePack(t, "small"), "with a file of its own": large(t)} {
		t.Run(name, func(t *testing.T) {
			mem := vfs.NewCrashableMem()
			var ended atomic.Bool
			var syncs atomic.Int32
			dying := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
				_, err := mem.Stat("packs/" + p.ID.String()[2:4] + "/" + p.ID.String())
				landed := op.Kind == errorfs.OpFileSyncData && syncs.Add(1) == 2 && len(p.Bytes) <= landedBytesMax
				if err == nil || landed {
					ended.Store(true)
				}
				if ended.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
					return fs.ErrClosed
				}
				return nil
			}))
			if err := open(t, dying, Options{}).Put(p.ID, p.Bytes); !errors.Is(err, fs.ErrClosed) {
				t.Fatal(err)
			}
			put(t, open(t, mem, Options{}), p)
			if _, err := open(t, mem.CrashClone(vfs.CrashCloneCfg{}), Options{}).Get(p.ID); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestManyDeletions deletes more packs during one slow write than there is room for in a segment: packs that are written
// next are there at the next start.
func TestManyDeletions(t *testing.T) {
	mem := vfs.NewMem()
	var held atomic.Pointer[chan struct{}]
	entered := make(chan struct{}, 1)
	slow := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if c := held.Load(); c != nil && op.Kind == errorfs.OpFileSyncData {
			select {
			case entered <- struct{}{}:
			default:
			}
			<-*c
		}
		return nil
	}))
	s := open(t, slow, Options{})
	put(t, s, makePack(t, "the first makes a segment"))
	gate := make(chan struct{})
	held.Store(&gate)
	var wg sync.WaitGroup
	wg.Go(func() { put(t, s, makePack(t, "slow")) })
	<-entered
	for range segmentBytesMax / recordHeadBytes {
		s.landing.deleted(pack.ID{1})
	}
	held.Store(nil)
	close(gate)
	wg.Wait()
	last := makePack(t, fmt.Sprint("after ", segmentBytesMax/recordHeadBytes))
	put(t, s, last)
	if _, err := open(t, mem, Options{}).Get(last.ID); err != nil {
		t.Error(err)
	}
}
