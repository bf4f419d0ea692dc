// Package demo shows the main job of Weir to a newcomer, and proves it: everything runs in one process on loopback, a
// real file system and everyday work on it is written through NBD (package trace holds it), the volume is read through
// iSCSI, and the disk that follows is compared with what was written, byte by byte.
//
// What was written is kept in memory as the truth, so that neither side is asked to vouch for itself.
package demo
