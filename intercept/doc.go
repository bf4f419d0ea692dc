// Package intercept is the write path: volumes whose every write goes to a local write log, in one order for all volumes
// of a group, before it is acknowledged; and what is needed to read them, to hand sealed intervals of the log to
// replication, and to move them to the base behind it.
//
// # Vocabulary
//
//	Group     volumes that share one write log, hence one order of writes; a folder on disk
//	Volume    one block device; a target.Device
//	layer     what one interval of the log wrote, as maps from ranges to log records
//	stack     the layers above the base at one moment, immutable; a reader pins one
//	base      the file that holds a volume's destaged content, with its leaf table
//	epoch     a sealed interval, handed out by Next; made of one layer
//	view      a volume's content at one log position: a stack up to there over the base
//
// # A write
//
// The range is checked and the write tagged; then the log fixes the order (wal.Log.Reserve), the payload is copied to
// the log's page cache (Write), readers find it (the active layer), and when every earlier record is written too it is
// acknowledged (Complete). A flush is an fdatasync of the log that serves all who wait.
//
// # Who owns what
//
// A Group owns two goroutines: the sealer, which ends epochs by time and size, and the destager, which moves layers to
// the base. Close joins them. The order of locks: Group.admin, Group.sealing, then the log's own, then Group.stacks;
// Group.durable is taken with nothing else but Group.admin held.
//
// # Layout of a group's folder
//
//	LOCK               one process at a time
//	checkpoint         two slots, see package checkpoint
//	log-NNNNNN.seg     segments of the write log, see package wal
//	base-ID.raw        content of a volume behind the log; sparse
//	base-ID.leaf       its leaf table, see package leaf
package intercept
