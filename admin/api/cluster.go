package api

// Cluster is the provider cluster as one of its members, or a gateway, sees it.
type Cluster struct {
	ID      string `json:"id"`
	Leader  string `json:"leader,omitempty" doc:"empty while there is none"`
	Applied uint64 `json:"applied" doc:"Raft index applied"`
	Nodes   []Node `json:"nodes"`
}

// Node is a member of the provider cluster.
type Node struct {
	Name      string `json:"name"`
	ID        string `json:"id,omitempty" doc:"Raft server ID"`
	Address   string `json:"address"`
	Voter     bool   `json:"voter"`
	Leader    bool   `json:"leader"`
	Reachable bool   `json:"reachable"`
	Packs     uint64 `json:"packs,omitempty"`
	PackBytes uint64 `json:"pack_bytes,omitempty"`
	Error     string `json:"error,omitempty" doc:"why it does not answer"`
}
