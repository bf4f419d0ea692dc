// Package harness starts the real binary and other programs for whole-system tests and measurements. It returns errors
// and knows nothing of package testing, so that tests and the benchmark program share it.
//
// A Daemon is one process of ours: it is started with free ports in a folder of its own, is ready when its admin port
// says so, and is ended by its process id, politely or not. A Mount is a file system of this machine's kernel over an
// NBD server, through nbdfuse and a loop device.
package harness
