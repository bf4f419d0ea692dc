// Package raftstore is a node of the provider cluster. Nodes agree through Raft on metadata alone (package meta):
// groups, session terms, points, retention, disks. Bulk data goes past Raft: a pack counts once a quorum of its group's
// replicas has it on stable storage (package packs), and only then may a commit name it.
//
// A Node owns one data folder and one TCP port. On the port, TLS with client certificates is spoken to everybody; the
// protocol that the handshake agrees on (ALPN) tells Raft ("weir-raft/1") from RPC ("h2"). Who a peer is stands in its
// certificate as a URI: weir://CLUSTER/node/NAME, /gateway/NAME or /operator/NAME. Raft, and the calls that nodes make
// to each other, need a node's certificate.
//
//	DATA/lock         held while the node runs
//	DATA/node.json    the identity of this folder: a folder that is lost comes back as a new server
//	DATA/raft/        log (raft-wal) and snapshots
//	DATA/freed        log index up to which deletions of packs have been carried out
//	DATA/packs/       wire packs (package packs)
//	DATA/replica/     the local copy of groups and the state of disks (package replica)
//
// # Who decides what
//
// The leader answers calls that change or list metadata; others answer rpc.ErrNotLeader with its address. Any node
// takes packs, and reads points or passes the read on to a replica that has them. The FSM (package meta) decides; the
// leader only saves work by looking first. Retention, release of wire packs and deletion are the leader's
// housekeeping: at most one Raft entry each second for all groups.
//
// # Deletion of packs
//
// Packs are deleted everywhere by one Raft entry, which only names packs that no point needs. A node carries deletions
// out in log order and says with each acknowledgement up to which index it has; a commit whose acknowledgements are
// older than the last deletion is asked for again. So a pack that is put while an old copy of it is being deleted is
// never counted on wrongly.
package raftstore
