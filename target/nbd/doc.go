// Package nbd is the NBD door: a server for the protocol of the NetworkBlockDevice project, doc/proto.md (called
// "proto.md" in comments, by section), with the extension of its branch extension-ext-header ("ext-header").
//
// It speaks the fixed newstyle handshake with LIST, INFO, GO, EXPORT_NAME, ABORT, STARTTLS, STRUCTURED_REPLY,
// LIST_META_CONTEXT, SET_META_CONTEXT and EXTENDED_HEADERS, and all commands of the transmission phase but the
// experimental RESIZE. What it serves it gets from Exports, declared here and implemented by whoever owns the volumes.
//
// # How a connection is served
//
// A handshake runs on the net.Conn with a deadline. After it the connection becomes a conn with a transport: for plain
// TCP and Unix sockets the blocking descriptor itself, since waiting in recv costs one wakeup less per request than
// waiting in Go's poller; for TLS the tls.Conn.
//
// One goroutine, the leader, holds the connection's lane: a receive window, the writes and other requests found in it,
// and the replies not yet sent. Each receive takes whatever has arrived. All writes in it go to target.WriteBatch
// together, straight from the window; fast commands are served in place; the replies of all leave in one send. So at
// depth 1 a request costs one recv and one send, and at depth 32 not much more.
//
// Commands known to be slow on this device (their mean time is watched, see pace) are given to the connection's
// workers instead. When a command that was expected to be fast keeps the leader for longer than stuckAfter, the
// server's monitor starts another leader with a lane of its own, which goes on receiving; the stuck one sends its
// replies when it is done and ends. So no command holds up the others for long, and a fast command pays nothing for it.
//
// # Bounds
//
// Every length is checked before anything is allocated for it. Memory per connection is bounded by Options.ConnBytes,
// together by Options.TotalBytes; at a bound the server stops reading, so that the client waits, and never fails a
// request for it. A client that leaves a request half sent, or does not take its replies, for Options.StallTimeout is
// disconnected.
package nbd
