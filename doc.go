// Package weir is a storage-appliance gateway: source servers attach volumes over iSCSI or NBD, every write is
// classified in the path, logged locally, packaged at the granularity that suits it, replicated to a Raft-backed
// provider cluster and applied to the disks of destination VMs.
//
// The rooms, in the order in which a write travels:
//
//	cmd/weir/      flags and wiring only
//	target/        the doors: target/nbd, target/iscsi; protocol in, Device calls out
//	intercept/     the write path: Volume, Group, write log, views, base, epochs
//	classify/      what a write is: in-path tags, file-system knowledge, choice of encoding
//	replicate/     from sealed epoch to committed point: packaging, packs, sessions, shipping, resync
//	raftstore/     the provider: Raft FSM, pack store, snapshot index, disks, repair, garbage collection
//	admin/         REST API, event stream, metrics, web UI
//	appliance/     roles composed into a running system, configuration, certificates, first boot
//	tests/         whole-system tests: foreign clients, real kernels, crash, network faults, benchmarks
//
// # Allowed imports
//
// Imports point one way. A room may import itself, its own sub-packages and the rooms named behind it, nothing else
// of this module; the test in tests/lint holds the tree to this table.
//
//	target      -
//	classify    -
//	intercept   target, classify
//	replicate   target, classify, intercept
//	raftstore   target, classify, intercept/ident, intercept/leaf, intercept/vfs, replicate
//	admin       -
//	appliance   target, classify, intercept, replicate, raftstore, admin
//	cmd         appliance, admin
//	tests       everything
//
// intercept/ident (names of groups, volumes and points), intercept/leaf (leaf and state hash) and intercept/vfs import nothing of
// this module. admin knows the system only through the interface that it declares; appliance implements it.
package weir
