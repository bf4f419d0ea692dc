// Package nbdclient is a small NBD client for tests: fixed newstyle negotiation, simple replies, any number of
// requests in flight. It says what the server answered and hides nothing; retries and reconnects are the caller's.
//
// The protocol is that of https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md.
package nbdclient
