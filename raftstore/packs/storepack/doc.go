// Package storepack keeps a node's own copy of volume content: frames of up to 16 neighbouring changed blocks of one
// volume at one point, appended to store packs. docs/format-store.md specifies the bytes.
//
// A frame can be read alone, whatever the history: it holds whole blocks, compressed together if that pays, and says
// itself which blocks of which volume at which point they are, with leaf and classification. So the snapshot index,
// which finds blocks in frames, can be made again from the packs.
//
// Store packs are the node's own. They are numbered, grow to pack.MaxBytes while they are the active one, and are never
// written again after that. Points of many groups share a pack and an fdatasync.
package storepack
