package appliance

import (
	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/raftstore"
)

// describeStore says what the data folder of this process's provider node holds; nil if it runs none.
func describeStore(n *raftstore.Node) *api.Store {
	if n == nil {
		return nil
	}
	u := n.StoreUsage()
	return &api.Store{
		WirePacks: uint64(u.WirePacks), WirePackBytes: uint64(u.WirePackBytes), LandingBytes: uint64(u.LandingBytes),
		StorePacks: uint64(u.Packs), StorePackBytes: uint64(u.PackBytes),
		LiveBytes: uint64(u.BlocksLive) * leaf.BlockSize, DeadBytes: uint64(u.BlocksTotal-u.BlocksLive) * leaf.BlockSize,
		WrittenBytes: uint64(u.WrittenBytes), RewrittenBytes: uint64(u.RewrittenBytes),
	}
}
