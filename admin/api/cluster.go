package api

// Cluster is the provider cluster as one of its members, or a gateway, sees it.
type Cluster struct {
	ID       string `json:"id"`
	Leader   string `json:"leader,omitempty" doc:"empty while there is none"`
	Term     uint64 `json:"term"`
	Applied  uint64 `json:"applied" doc:"Raft index applied"`
	Replicas int    `json:"replicas" doc:"replication factor"`
	Nodes    []Node `json:"nodes"`
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
}

// NodeJoin asks the cluster to take in a node that is running.
type NodeJoin struct {
	Name    string `json:"name"`
	Address string `json:"address" doc:"HOST:PORT of the node's provider port"`
}
