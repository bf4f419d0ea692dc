package raftstore

import (
	"context"
	"crypto/tls"
	"errors"
	"sync"

	"github.com/weirstor/weir/replicate/rpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// peers is the pool of connections to other nodes. Safe for concurrent use.
type peers struct {
	conf *tls.Config

	mu     sync.Mutex
	conns  map[string]*grpc.ClientConn
	closed bool
}

func newPeers(conf *tls.Config) *peers {
	return &peers{conf: conf.Clone(), conns: make(map[string]*grpc.ClientConn)}
}

var errClosed = errors.New("node is closed")

// to returns the connection to the node at addr. It connects when first used.
func (p *peers) to(addr string) (*grpc.ClientConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosed
	}
	if cc := p.conns[addr]; cc != nil {
		return cc, nil
	}
	cc, err := rpc.DialNode(addr, p.conf, nil)
	if err == nil {
		p.conns[addr] = cc
	}
	return cc, err
}

// keep closes connections to all other addresses.
func (p *peers) keep(addrs map[string]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for a, cc := range p.conns {
		if !addrs[a] {
			delete(p.conns, a)
			_ = cc.Close() // calls under way fail, as they should
		}
	}
}

func (p *peers) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	var errs []error
	for _, cc := range p.conns {
		errs = append(errs, cc.Close())
	}
	clear(p.conns)
	return errors.Join(errs...)
}

// forwardedKey marks calls that a node passes on to another, which must not pass them on again.
const forwardedKey = "weir-forwarded"

func forward(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, forwardedKey, "1")
}

func forwarded(ctx context.Context) bool {
	return len(metadata.ValueFromIncomingContext(ctx, forwardedKey)) > 0
}

// call makes one call to the node at addr and turns its error back into a sentinel.
func call[Rep any](ctx context.Context, p *peers, addr string, f func(context.Context, grpc.ClientConnInterface) (Rep, error)) (Rep, error) {
	cc, err := p.to(addr)
	if err != nil {
		var none Rep
		return none, err
	}
	r, err := f(forward(ctx), cc)
	return r, rpc.FromStatus(err)
}
