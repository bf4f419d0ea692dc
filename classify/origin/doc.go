// Package origin says what the bytes of a volume belong to: which file, by path and inode, at which offset, or which
// structure of the file system. Read makes a Tree from a volume at one moment; Tree.At answers for an offset, Tree.File
// for a path, and Compare for two moments: which files were created, changed, renamed or deleted, and how many of the
// bytes that changed each of them accounts for.
//
// ext4 is read as a mount would show it, its journal included; XFS and NTFS as far as changes have left their logs.
package origin
