// Command hammer works on a block device for some seconds and then reads all of it back. It runs in a guest, where it
// shows whether a kernel's initiator and our door together ever lost, mixed up or invented a write.
//
//	hammer -seconds N -writers W -seed S DEVICE
//
// The device is cut into slots of 64 KiB, and each writer owns every W-th of them, so that one writer at a time works
// on a slot and knows what it has to hold. It writes blocks that say where they belong and which write they are of,
// discards, writes zeroes, reads back and flushes, past the page cache. An error of any call, or a block that is not
// what was written last, ends it with status 1. At its end it prints what it did, how long the slowest call took, and
// the SHA-256 sum of what the whole device must hold.
package main
