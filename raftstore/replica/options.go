package replica

import (
	"context"
	"log/slog"
	"runtime"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/weirstor/weir/raftstore/disk"
	"github.com/weirstor/weir/raftstore/packs"
	"github.com/weirstor/weir/replicate/codec"
)

// DecodeFunc turns wire packs into chunks; it is codec.Decode.
type DecodeFunc func(ctx context.Context, read func(i int) ([]byte, error), to codec.Target) error

// Options configure a Set. Dir and Packs are needed.
type Options struct {
	Dir   string       // folder of the node's store packs, index and sidecars
	Packs *packs.Store // wire packs
	Fetch FetchFunc    // nil: there is nobody to fetch from
	Peer  Peer         // nil: there is nobody to copy from
	Node  string       // name for logs

	Decode          DecodeFunc           // default codec.Decode
	OpenBacking     disk.OpenBackingFunc // default disk.OpenBacking
	FS              vfs.FS               // default: the operating system's
	Logger          *slog.Logger         // default: discard
	Workers         int                  // points decoded at once, over all groups; default GOMAXPROCS
	Nice            int                  // above 0: workers and followers of disks run on threads of their own with this niceness
	LandingBytes    int64                // changed blocks of one point kept in memory; default 32 MiB
	FrameCacheBytes int64                // default 32 MiB
	IndexCacheBytes int64                // default 32 MiB

	CompactBytesPerSec int64 // pace at which store packs that are mostly dead are emptied; default 32 MiB/s
}

func (o *Options) fill() {
	if o.Decode == nil {
		o.Decode = codec.Decode
	}
	if o.OpenBacking == nil {
		o.OpenBacking = disk.OpenBacking
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Node != "" {
		o.Logger = o.Logger.With("node", o.Node)
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.CompactBytesPerSec <= 0 {
		o.CompactBytesPerSec = 32 << 20
	}
	if o.LandingBytes <= 0 {
		o.LandingBytes = 32 << 20
	}
}
