// Package packs keeps packs, named by their content, in a local directory. It holds the wire packs of a node from the
// moment they are received until every replica has taken them in, and knows nothing of what they mean. The sub-package
// storepack keeps the node's own frames of volume content.
//
//	DIR/tmp/          files being written; emptied at Open
//	DIR/ab/01abcd…    one file for each pack: the folder is the first byte of its digest, the name its ID
//
// A file is renamed into its folder only after its content is on stable storage, so whatever has a pack's name is a
// whole pack, or damage.
package packs
