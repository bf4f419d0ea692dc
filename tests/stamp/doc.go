// Package stamp decides whether a volume, or several of one group, holds the state after a prefix of its writes.
//
// A workload fills volumes with stamped blocks: each 4 KiB block says by which write it was written, for which block
// of which volume, and carries a checksum of the rest. A History notes when each write was submitted and when it was
// answered. After a crash the volumes are read and Check compares what survived with the history.
//
// What the tester knows of the order of writes is this: a write submitted after the answer to another comes later in
// the log; between writes that were in flight together either order is possible. So the check asks whether any order
// that agrees with this, cut off somewhere, leaves exactly the content that was found. It is exact for stamped writes:
// it accepts every state that such a cut can leave, and no other.
//
//   - A block that carries the stamp of write w was last written by w. So w is in the prefix, and every other write to
//     that block that is in the prefix comes before w.
//   - A write that was answered before any write of the prefix was submitted is in the prefix as well.
//   - So is every write that had to survive: all answered ones after the death of a process; after power loss those
//     that a later answered Flush, or their own FUA, covers.
//
// The writes that these rules demand are the smallest prefix possible; a larger one only adds conditions. An order
// exists when the conditions "comes before" have no cycle, which a topological sort decides.
//
// Ranges made zero carry no stamp, so a zero block does not tell which of several zeroing calls it comes from. For
// those the check is sound but not exact: a zero block is refused when no zeroing call, nor the initial content, could
// have been the last to touch it.
package stamp
