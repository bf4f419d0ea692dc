// Package index is the snapshot index of one node: from volume, block and point to the frame that holds the block, at a
// cost that does not depend on the number of points. docs/format-store.md specifies keys and values.
//
// For every 64 KiB slot of a volume and every point that changed it there is one entry: the leaf, class and location of
// each of its 16 blocks as they are at that point, changed by it or not. Entries of a slot lie side by side, newest
// first, so a lookup is one seek. A point that is not kept any more is forgotten by removing the entries that no kept
// point sees; the frames that die with them are counted off their packs.
//
// Everything here can be made again from the store packs and the group's list of points.
package index
