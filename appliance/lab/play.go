package lab

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/replicate/codec"
	"github.com/weirstor/weir/replicate/pack"
)

// cost is what packaging took.
type cost struct {
	host, wire int64
	work       time.Duration // of one core
}

// everything is all scenes, and an epoch of several.
func everything() []scene {
	return append(scenes[:len(scenes):len(scenes)], scene{mixed, playMixed})
}

// play plays so many rounds of the scenes of list on a volume made from seed, one epoch each, and packages them. seen gets the
// cost of each.
func play(ctx context.Context, seed uint64, list []scene, rounds int, opt codec.Options, seen func(scene string, c cost)) error {
	runtime.LockOSThread() // so that the thread's processor time is ours
	defer runtime.UnlockOSThread()
	s := newStage(seed)
	e := codec.NewEncoder(opt)
	ch := []codec.VolumeChange{{Volume: ident.VolumeID{UUID: ident.UUID{1}}, Size: diskBytes, Old: memory(s.old), New: memory(s.new)}}
	if err := e.Prepare(ctx, ch); err != nil {
		return err
	}
	for round := range rounds {
		for i, sc := range list {
			sc.play(s, rand.New(rand.NewPCG(seed, uint64(round*100+i))))
			ch[0].Extents = s.seal()
			c := cost{}
			for _, x := range ch[0].Extents {
				c.host += x.Len
			}
			begin := threadTime()
			_, err := e.Encode(ctx, ch, func(p pack.Pack) error { c.wire += int64(len(p.Bytes)); return nil })
			if err != nil {
				return fmt.Errorf("scene %s: %w", sc.name, err)
			}
			e.Accept()
			c.work = threadTime() - begin
			s.next()
			seen(sc.name, c)
		}
	}
	return nil
}

// threadTime is the processor time of this thread.
func threadTime() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
