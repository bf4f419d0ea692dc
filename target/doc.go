// Package target declares what a door (target/nbd, target/iscsi) needs of the thing that it serves.
//
// A door speaks a protocol on one side and calls Device on the other. Volumes of the write path, read-only points and
// writable clones implement Device; so the same door code serves all of them. Errors that a Device returns are the
// sentinels of this package (wrapped or not); only a door turns them into an errno or sense data.
package target
