// Package client is a small NBD client: fixed newstyle negotiation, simple replies, any number of requests in flight.
// It says what the server answered and hides nothing; retries and reconnects are the caller's. The demonstration and
// the tests drive the NBD door with it.
//
// The protocol is that of https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md.
package client
