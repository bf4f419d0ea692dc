// Package codec turns the changes of an epoch into packs and back.
//
// The Encoder compares the new content of what was written with the old, classifies each change, and writes tokens:
// runs of literals and copies from earlier content of the group. What it has encoded it decodes again and compares
// before it counts. Decode is the other side: from the packs and the previous point to the changed ranges. See
// docs/format-pack.md for the bytes.
package codec
