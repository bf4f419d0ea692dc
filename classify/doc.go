// Package classify says what a write is.
//
// In the path, a Tagger gives each write a Tag within nanoseconds: the class that it seems to have, the kind of
// file-system region that it falls in, and whether it continues the write before it. What a Tagger knows of the file
// system is a Map, which ReadMap makes from a volume's content: ext4, XFS and NTFS (classify/fs and below), on the
// whole volume or behind MBR, GPT, linear LVM2 volumes and unstriped MD members. Which file a byte belongs to, and what
// changed between two moments, is the business of classify/origin.
//
// At packaging, where old and new content lie side by side, the codec refines the class. A Tag and a Map are hints:
// a volume that can not be understood is less well classified, never less well replicated.
package classify
