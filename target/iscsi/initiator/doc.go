// Package initiator is a small iSCSI initiator (RFC 7143) in user space: one session with one connection to LUN 0 of a
// target, many commands at a time. `weir demo` reads through it, tests drive targets with it, and it serves as a load
// generator. It does not reconnect: after an error of the connection every call fails.
package initiator
