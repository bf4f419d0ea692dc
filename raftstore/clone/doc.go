// Package clone serves recovery points for writing: a Clone shows one or more volumes of a point, at once and without a
// copy, and keeps what is written to it in an overlay on this machine. The point stays as it is and is pinned in the
// cluster while the clone is there.
//
// The overlay of a volume is two files. The data file, or a disk given for it, holds blocks of 4 KiB at their own
// address; the map says which blocks it holds. docs/format-clone.md specifies the map. So a clone whose every block is
// in the overlay (Fill) is a plain disk, and needs the point no more.
//
// # Durability
//
// A write that was acknowledged survives the death of the process; one that was flushed, or has FUA, survives power
// loss. A block that was written and not flushed reads after power loss as it was at the last flush or as it was
// written, sector by sector, and never as anything else: a block is taken for written only if a commit record of the
// map covers it, or if its content has the checksum that the map holds for it.
package clone
