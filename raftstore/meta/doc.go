// Package meta is the provider cluster's agreed state: which nodes there are, which groups, who may commit to them,
// which points exist and which disks follow. It is a pure state machine: the same commands in the same order give the
// same State on every node, without clock, disk, network or randomness.
//
// A Command is proposed by the leader, travels through the Raft log in its canonical encoding, and is applied on every
// node. Snapshots are exact: the same State always encodes to the same bytes. docs/format-meta.md specifies both.
//
// The errors are those of package rpc, which owns them, so that they keep their meaning on the way to the caller.
package meta
