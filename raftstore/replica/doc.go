// Package replica is what one node of the provider holds of the groups that are placed on it: it takes in committed
// epochs, serves every kept point, and brings the node's disks to the newest one.
//
// A commit arrives by Advance. A worker of its group fetches the wire packs, decodes them against the previous point,
// writes the changed blocks into store packs and their locations into the snapshot index, and compares the state hash
// of every volume, computed from the bytes that this node holds, with the one in the commit. Only then is the point
// ingested, verified and offered. A crash anywhere leaves the previous point; the commit is taken in again.
package replica
