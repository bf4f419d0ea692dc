// Package packs keeps packs, named by their content, in a local directory. It holds the wire packs of a node from the
// moment they are received until every replica has taken them in, and knows nothing of what they mean. The sub-package
// storepack keeps the node's own frames of volume content.
//
//	DIR/tmp/          files being written; emptied at Open
//	DIR/ab/01abcd…    a large pack: the folder is the first byte of its digest, the name its ID
//	DIR/landing/      small packs: segments of the landing log
//
// A file is renamed into its folder only after its content is on stable storage, so whatever has a pack's name is a
// whole pack, or damage. Small packs that are put at the same time, whatever their groups, share one write and one
// fdatasync of the landing log; a segment of it is used again when the last of its packs was deleted.
// docs/format-store.md, section 1, specifies the bytes.
package packs
