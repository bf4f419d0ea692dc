// Package iscsi is the iSCSI door: a target (RFC 7143) that shows each volume as LUN 0 of a target of its own.
//
// A session has one connection. Its PDUs are read by one goroutine at a time, the holder of the connection's reading
// role. Commands that the device answers quickly run in that goroutine, and writes that arrived together are handed to
// the device together; anything slower runs in a worker, so that the commands of a session run at the same time and
// are answered as they finish. Should a command that was expected to be quick block, another goroutine takes the role
// over and reading goes on. Answers collect in an outbox; whoever finds it idle writes all of them with one call.
//
// Flow control, not errors, bounds memory: the command window bounds commands and their unsolicited data, and a budget
// per connection decides when data is solicited (R2T) and when a read begins. The sessions have equal parts of what
// there is for all, so that none of them has to wait for another.
//
// Error recovery level is 0: after a protocol error or a wrong digest the connection ends, and with it the session.
//
// Sub-packages: wire has the PDUs, scsi the logical unit behind a session, initiator a small client.
package iscsi
