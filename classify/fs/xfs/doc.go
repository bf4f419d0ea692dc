// Package xfs reads XFS file systems of version 4 and 5: where their structures lie (regions.go), their inodes and the
// blocks of each (inode.go, bmap.go), and their directories (dir.go). What lies in the log only is not looked at, so on
// a volume that was not unmounted it tells what had reached its place.
//
// Source: XFS Algorithms & Data Structures, and Linux, fs/xfs/libxfs/xfs_format.h and xfs_da_format.h.
package xfs
