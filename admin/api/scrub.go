package api

// ScrubResult is what reading everything that the provider stores has found.
type ScrubResult struct {
	Sound bool        `json:"sound" doc:"nothing is damaged, and every node was read"`
	Nodes []ScrubNode `json:"nodes"`
}

// ScrubNode is what one node has found in its own store.
type ScrubNode struct {
	Node     string        `json:"node"`
	Packs    uint64        `json:"packs"`
	Bytes    uint64        `json:"bytes" doc:"of packs that were read"`
	Damages  []ScrubDamage `json:"damages"`
	Repaired uint64        `json:"repaired_bytes" doc:"of volumes, that were damaged and were stored anew from another replica"`
	Omitted  uint64        `json:"omitted" doc:"damages that are not listed"`
	Error    string        `json:"error,omitempty" doc:"why the node was not read"`
}

// ScrubDamage is a range of a volume that a node can not read from its own store. Reads go to another replica.
type ScrubDamage struct {
	Volume   string   `json:"volume"`
	VolumeID string   `json:"volume_id"`
	Range    Range    `json:"range"`
	Points   []uint64 `json:"points" doc:"end sequences of the kept points that show the range"`
	Error    string   `json:"error"`
}
