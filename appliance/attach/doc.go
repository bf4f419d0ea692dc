// Package attach makes volumes block devices of the Linux kernel of this machine, through its NBD client.
//
// The handshake is done here, and the sockets are then given to the kernel (generic netlink family "nbd", Linux 4.12 and
// later, linux/nbd-netlink.h), which sends the requests itself: no process of ours is in the data path. A connection
// that breaks is told by the kernel to those who listen; Watch makes a new one and gives it to the device, whose
// requests wait for it.
//
// The kernel's client has no TLS. Nothing here works around that: a door that requires TLS is refused by name.
package attach
