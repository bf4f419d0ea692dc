package raftstore

import "github.com/weirstor/weir/raftstore/replica"

// StoreUsage is what the data folder of a node holds.
type StoreUsage struct {
	WirePacks     int   // packs as gateways sent them, until every replica has taken them in
	WirePackBytes int64 // their size
	LandingBytes  int64 // files of the log that holds the small ones of them

	replica.Usage // store packs
}

// StoreUsage returns what this node's data folder holds. It reads no disk.
func (n *Node) StoreUsage() StoreUsage {
	u := StoreUsage{Usage: n.copies.Usage()}
	u.WirePacks, u.WirePackBytes = n.packs.Usage()
	u.LandingBytes = n.packs.LandingBytes()
	return u
}
