// Package codec turns the changes of an epoch into packs and back.
//
// The Encoder compares the new content of what was written with the old, classifies each change, and writes tokens:
// runs of literals and copies. A copy comes from the same address, from earlier content of the group that the index
// finds, or from what the epoch made before; a deflate stream travels as what it holds. What has been encoded is decoded
// again and compared before it counts. Decode is the other side: from the packs and the previous point to the changed
// ranges. docs/format-pack.md specifies the bytes.
//
// A new encoding is an op in format.go, a search that yields matches for it (matcher.go, lookup.go and unpack.go are the
// present ones), and its case in frameWriter.copy and decoder.apply.
package codec
