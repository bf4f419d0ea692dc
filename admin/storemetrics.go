package admin

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/weirstor/weir/admin/api"
)

// The metrics of a provider node's data folder.
var (
	storeBytesDesc = desc("store_bytes", "Files of the provider node: wire packs, the log of small ones, store packs.", "kind")
	storePacksDesc = desc("store_packs", "Packs of the provider node.", "kind")
	storeBlockDesc = desc("store_content_bytes", "Content in store packs before compression: live, or waiting to be freed.", "state")
	storeWroteDesc = desc("store_written_bytes_total",
		"Bytes of store packs, written for new points or again to free space; their sum over the first is write amplification.", "why")
)

func describeStore(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{storeBytesDesc, storePacksDesc, storeBlockDesc, storeWroteDesc} {
		ch <- d
	}
}

func (s samples) store(u *api.Store) {
	if u == nil {
		return
	}
	s.gauge(storeBytesDesc, float64(u.WirePackBytes), "wire")
	s.gauge(storeBytesDesc, float64(u.LandingBytes), "landing")
	s.gauge(storeBytesDesc, float64(u.StorePackBytes), "store")
	s.gauge(storePacksDesc, float64(u.WirePacks), "wire")
	s.gauge(storePacksDesc, float64(u.StorePacks), "store")
	s.gauge(storeBlockDesc, float64(u.LiveBytes), "live")
	s.gauge(storeBlockDesc, float64(u.DeadBytes), "dead")
	s.counter(storeWroteDesc, u.WrittenBytes, "point")
	s.counter(storeWroteDesc, u.RewrittenBytes, "compaction")
}
