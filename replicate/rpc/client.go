package rpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
)

var _ grpc.ClientConnInterface = (*Client)(nil)

// ClientOptions says where the providers are and who asks.
type ClientOptions struct {
	Addresses []string    // HOST:PORT of one provider or more; more are learnt from answers and by Learn
	TLS       *tls.Config // mutual TLS: the caller's certificate and the cluster's CA
	Traffic   *Traffic    // counts the bytes of all connections; nil: not counted
}

// Client calls whichever node can answer. It starts with any of the addresses, follows a NotLeader to the leader, goes
// on to the next address when one is out of reach, and keeps trying until the call's context ends: every call of this
// package may be repeated without harm. Errors are those of this package where the server returned one (FromStatus).
//
// A Client is a grpc.ClientConnInterface, so NewProviderClient(client) has all calls. Safe for concurrent use.
type Client struct {
	opt ClientOptions

	mu struct {
		sync.Mutex
		conns     map[string]*grpc.ClientConn
		addresses []string
		preferred string // answered last
		closed    bool
	}
}

// How long a Client waits between rounds over all addresses.
const (
	retryDelayMin = 50 * time.Millisecond
	retryDelayMax = 2 * time.Second
)

// Dial returns a Client. Connections are made at the first call.
func Dial(opt ClientOptions) (*Client, error) {
	if len(opt.Addresses) == 0 {
		return nil, errors.New("no provider address given")
	}
	if opt.TLS == nil {
		return nil, errors.New("no TLS configuration: providers are reached over mutual TLS only")
	}
	c := &Client{opt: opt}
	c.mu.conns = make(map[string]*grpc.ClientConn)
	c.mu.addresses = slices.Clone(opt.Addresses)
	c.mu.preferred = opt.Addresses[0]
	return c, nil
}

// Close ends all connections; calls under way fail.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.closed = true
	var errs []error
	for _, cc := range c.mu.conns {
		errs = append(errs, cc.Close())
	}
	clear(c.mu.conns)
	return errors.Join(errs...)
}

// Addresses lists the providers known, the one that answered last first.
func (c *Client) Addresses() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := []string{c.mu.preferred}
	for _, a := range c.mu.addresses {
		if a != c.mu.preferred {
			list = append(list, a)
		}
	}
	return list
}

// Invoke makes one call, as described at Client.
func (c *Client) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	delay := retryDelayMin
	for {
		err := c.round(ctx, method, args, reply, opts)
		if !retryable(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (last: %w)", ctx.Err(), err)
		case <-time.After(delay):
		}
		delay = min(2*delay, retryDelayMax)
	}
}

// NewStream refuses: no call of this package streams.
func (c *Client) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, status.Error(codes.Unimplemented, "streams are not used")
}

// round tries each known address once, and where a NotLeader points to first of all.
func (c *Client) round(ctx context.Context, method string, args, reply any, opts []grpc.CallOption) error {
	queue := c.Addresses()
	tried := make(map[string]bool)
	var last error
	for len(queue) > 0 {
		addr := queue[0]
		queue = queue[1:]
		if tried[addr] {
			continue
		}
		tried[addr] = true
		cc, err := c.conn(addr)
		if err != nil {
			return err
		}
		last = FromStatus(cc.Invoke(ctx, method, args, reply, opts...))
		var nl *NotLeader
		if errors.As(last, &nl) && nl.Address != "" {
			c.Learn(nl.Address)
			queue = slices.Insert(queue, 0, nl.Address)
			continue
		}
		if !retryable(last) {
			if last == nil {
				c.prefer(addr)
			}
			return last
		}
	}
	return last
}

// retryable reports whether another node, or the same one later, may answer.
func retryable(err error) bool {
	if err == nil {
		return false
	}
	if errors.Is(err, ErrNotLeader) || errors.Is(err, ErrNoQuorum) || errors.Is(err, ErrNotIngested) {
		return true
	}
	return status.Code(err) == codes.Unavailable
}

// Learn adds the address of a further provider, to be tried when others are out of reach.
func (c *Client) Learn(addr string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if addr != "" && !slices.Contains(c.mu.addresses, addr) {
		c.mu.addresses = append(c.mu.addresses, addr)
	}
}

func (c *Client) prefer(addr string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.preferred = addr
}

func (c *Client) conn(addr string) (*grpc.ClientConn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.closed {
		return nil, status.Error(codes.Canceled, "client is closed")
	}
	if cc := c.mu.conns[addr]; cc != nil {
		return cc, nil
	}
	cc, err := DialNode(addr, c.opt.TLS, c.opt.Traffic)
	if err != nil {
		return nil, err
	}
	c.mu.conns[addr] = cc
	return cc, nil
}

// DialNode returns a connection to the one node at addr, with the codec, limits and keep-alive that all connections
// between gateways and providers use. A peer that answers nothing for 20 s is given up.
func DialNode(addr string, conf *tls.Config, traffic *Traffic) (*grpc.ClientConn, error) {
	creds := credentials.NewTLS(conf)
	if traffic != nil {
		creds = counted{creds, traffic}
	}
	return grpc.NewClient("passthrough:///"+addr,
		grpc.WithTransportCredentials(creds),
		grpc.WithDefaultCallOptions(
			grpc.ForceCodecV2(Codec()),
			grpc.MaxCallRecvMsgSize(MaxMessageBytes),
			grpc.MaxCallSendMsgSize(MaxMessageBytes)),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: retryDelayMin, Multiplier: 1.6, Jitter: 0.2, MaxDelay: retryDelayMax},
			MinConnectTimeout: 5 * time.Second,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 10 * time.Second}),
		grpc.WithInitialWindowSize(4<<20), grpc.WithInitialConnWindowSize(16<<20),
		grpc.WithWriteBufferSize(256<<10), grpc.WithReadBufferSize(256<<10),
	)
}
