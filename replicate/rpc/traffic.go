package rpc

import (
	"context"
	"net"
	"sync/atomic"

	"google.golang.org/grpc/credentials"
)

// Traffic counts the bytes of connections as the application sends and receives them: HTTP/2 frames with all their
// heads, before TLS. Safe for concurrent use.
type Traffic struct {
	Sent     atomic.Uint64 // bytes
	Received atomic.Uint64 // bytes
}

// counted is transport credentials whose connections count into traffic.
type counted struct {
	credentials.TransportCredentials
	traffic *Traffic
}

func (c counted) ClientHandshake(ctx context.Context, host string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := c.TransportCredentials.ClientHandshake(ctx, host, raw)
	if err != nil {
		return nil, nil, err
	}
	return &countedConn{Conn: conn, traffic: c.traffic}, info, nil
}

func (c counted) Clone() credentials.TransportCredentials {
	return counted{c.TransportCredentials.Clone(), c.traffic}
}

type countedConn struct {
	net.Conn
	traffic *Traffic
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.traffic.Received.Add(uint64(n))
	return n, err
}

func (c *countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.traffic.Sent.Add(uint64(n))
	return n, err
}
