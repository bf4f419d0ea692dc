// Package disk keeps the disks of destination VMs in step with the recovery points of a volume.
//
// A disk shows exactly one point. What it shows stands in its sidecar, a small file beside it: either `clean N`, or
// `applying N→M` with the list of the blocks that are being rewritten. The list is durable before the first of them is
// touched, so that a crash in the middle is repaired by writing the listed blocks again, blindly, from point M.
// docs/format-store.md specifies the bytes.
//
// Before a disk is written, the blocks that will change are read and their leaves compared with the point that the disk
// shows. A difference means that somebody else has written to the disk; what happens then is the disk's Policy.
package disk
