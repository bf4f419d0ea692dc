// Package classify says what a write is.
//
// In the path, a Tagger gives each write a Tag within nanoseconds: the class that it seems to have, the kind of
// file-system region that it falls in, and whether it continues the write before it. What a Tagger knows of the file
// system is a Map, which ReadMap makes from a volume's content: no partition table, MBR or GPT, and ext4 within.
//
// At packaging, where old and new content lie side by side, the codec refines the class. A Tag and a Map are hints:
// a volume that can not be understood is less well classified, never less well replicated.
package classify
