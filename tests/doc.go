// Package tests holds the whole-system tests of Weir, one folder for each kind.
//
//	lint/       the house rules that can be tested
//	stamp/      a stamped workload, its history, and the checker that a volume is a prefix of it
//	guest/      a Debian kernel with an initramfs of our own under QEMU
//	wire/       the wire workload: a file system, and fourteen steps that change it
//	harness/    starts the real binary, waits until it is ready, ends it by its process id
//	system/     the tests themselves; `make system` runs them
//	bench/      measurements beside other servers; `make bench` runs them
//
// The tests of the rooms stand beside their code. These here start the real binary and drive it with clients and
// kernels that others wrote. packages.txt lists the Debian packages that they need; install.sh installs them.
package tests
