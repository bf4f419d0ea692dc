// Package ext4 reads ext2, ext3 and ext4 file systems: where their structures lie (regions.go), their inodes and the
// blocks of each (inode.go, walk.go), their directories (dir.go), and what their journal holds that is not yet in its
// place (journal.go).
//
// Source: Linux, Documentation/filesystems/ext4, and for the journal its chapter "Journal (jbd2)".
package ext4
