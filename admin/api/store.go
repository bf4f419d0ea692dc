package api

// Store is what the data folder of a provider node holds.
type Store struct {
	WirePacks      uint64 `json:"wire_packs" doc:"packs as gateways sent them, until every replica has taken them in"`
	WirePackBytes  uint64 `json:"wire_pack_bytes"`
	LandingBytes   uint64 `json:"landing_bytes" doc:"files of the log that holds the small wire packs, at most"`
	StorePacks     uint64 `json:"store_packs" doc:"packs with the content of points"`
	StorePackBytes uint64 `json:"store_pack_bytes"`
	LiveBytes      uint64 `json:"live_bytes" doc:"content, before compression, that a kept point sees"`
	DeadBytes      uint64 `json:"dead_bytes" doc:"content, before compression, that waits for its pack to be emptied"`
	WrittenBytes   uint64 `json:"written_bytes" doc:"written for new points since the start"`
	RewrittenBytes uint64 `json:"rewritten_bytes" doc:"written again since the start, to free packs that are mostly dead"`
}
