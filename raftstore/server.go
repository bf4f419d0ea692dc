package raftstore

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/weirstor/weir/raftstore/packs"
	"github.com/weirstor/weir/raftstore/peer"
	"github.com/weirstor/weir/raftstore/replica"
	"github.com/weirstor/weir/replicate/pack"
	"github.com/weirstor/weir/replicate/rpc"
	"github.com/weirstor/weir/target"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	grpcpeer "google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

const (
	callsAtOncePerConn = 256
	callTimeout        = 60 * time.Second // for callers that set no deadline
	waitTimeout        = 10 * time.Minute // the same for WaitPoint and VerifyDisk
	stopTimeout        = time.Second
)

// server answers the calls of others.
type server struct {
	rpc.UnimplementedProviderServer
	rpc.UnimplementedPointsServer
	peer.UnimplementedPeerServer
	*Node
}

var (
	_ rpc.ProviderServer = (*server)(nil)
	_ rpc.PointsServer   = (*server)(nil)
	_ rpc.BulkServer     = (*server)(nil)
	_ peer.PeerServer    = (*server)(nil)
)

func (n *Node) serve() {
	opts := append(rpc.ServerOptions(),
		grpc.Creds(shaken{credentials.NewTLS(n.opt.TLS)}),
		grpc.MaxConcurrentStreams(callsAtOncePerConn),
		grpc.UnaryInterceptor(n.intercept),
		grpc.WaitForHandlers(true),
	)
	n.server = grpc.NewServer(opts...)
	s := &server{Node: n}
	rpc.RegisterProviderServer(n.server, s)
	rpc.RegisterPointsServer(n.server, s)
	rpc.RegisterBulkServer(n.server, s)
	peer.RegisterPeerServer(n.server, s)
	n.wg.Add(1)
	go func() {
		defer n.wg.Done()
		if err := n.server.Serve(n.port.rpc); err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, grpc.ErrServerStopped) {
			n.log.Error("serving", "err", err)
		}
	}()
}

func (n *Node) stopServing() {
	if n.server == nil {
		return
	}
	timer := time.AfterFunc(stopTimeout, n.server.Stop)
	defer timer.Stop()
	n.server.GracefulStop()
}

type callerKey struct{}

// caller returns who makes the call.
func caller(ctx context.Context) identity {
	id, _ := ctx.Value(callerKey{}).(identity)
	return id
}

func requireNode(ctx context.Context) error {
	if id := caller(ctx); id.role != roleNode {
		return fmt.Errorf("%w: this call is for nodes, the caller is %s %s", rpc.ErrBadRequest, id.role, id.name)
	}
	return nil
}

// intercept surrounds every call: who calls, for how long at most, what its error means, and no panic gets out.
func (n *Node) intercept(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (reply any, err error) {
	defer func() {
		if r := recover(); r != nil {
			n.log.Error("call panicked", "method", info.FullMethod, "panic", r, "stack", string(debug.Stack()))
			reply, err = nil, rpc.ToStatus(fmt.Errorf("%s failed inside node %s", info.FullMethod, n.opt.Name))
		}
	}()
	id, err := callerOf(ctx)
	if err != nil {
		return nil, rpc.ToStatus(fmt.Errorf("%w: %w", rpc.ErrBadRequest, err))
	}
	if strings.HasPrefix(info.FullMethod, "/"+peer.Peer_ServiceDesc.ServiceName+"/") && id.role != roleNode {
		return nil, rpc.ToStatus(requireNode(ctx))
	}
	ctx, cancel := context.WithCancel(context.WithValue(ctx, callerKey{}, id))
	defer cancel()
	defer context.AfterFunc(n.ctx, cancel)()
	if _, ok := ctx.Deadline(); !ok {
		limit := callTimeout
		if slices.Contains([]string{rpc.Provider_WaitPoint_FullMethodName, rpc.Provider_VerifyDisk_FullMethodName}, info.FullMethod) {
			limit = waitTimeout
		}
		var done context.CancelFunc
		ctx, done = context.WithTimeout(ctx, limit)
		defer done()
	}
	reply, err = handle(ctx, req)
	if err != nil {
		return nil, n.statusOf(err)
	}
	return reply, nil
}

// statusOf is rpc.ToStatus for what calls return, those included that end because the node or the caller does.
func (n *Node) statusOf(err error) error {
	if n.ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return status.Errorf(codes.Unavailable, "node %s is closing", n.opt.Name)
	}
	st := rpc.ToStatus(translate(err))
	if status.Code(st) == codes.Internal && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return status.FromContextError(err).Err()
	}
	return st
}

func callerOf(ctx context.Context) (identity, error) {
	p, ok := grpcpeer.FromContext(ctx)
	if !ok {
		return identity{}, errors.New("call without a peer")
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return identity{}, errors.New("call without TLS")
	}
	return peerIdentity(tls.ConnectionState(info.State))
}

// translate gives errors of the rooms below the meaning that callers know.
func translate(err error) error {
	var medium *target.MediumError // of what is stored here, even when a pack that does not check is the reason
	if errors.As(err, &medium) && !errors.Is(err, rpc.ErrDamaged) {
		return fmt.Errorf("%w: %w", rpc.ErrDamaged, err)
	}
	for _, t := range []struct{ from, to error }{
		{packs.ErrFull, rpc.ErrFull},
		{packs.ErrNotFound, rpc.ErrUnknown},
		{packs.ErrDamaged, rpc.ErrDamaged},
		{pack.ErrCorrupt, rpc.ErrBadRequest},
		{pack.ErrTruncated, rpc.ErrBadRequest},
		{pack.ErrVersion, rpc.ErrBadRequest},
		{replica.ErrNotIngested, rpc.ErrNotIngested},
		{replica.ErrMismatch, rpc.ErrDamaged},
		{replica.ErrNoVolume, rpc.ErrUnknown},
		{replica.ErrNoDisk, rpc.ErrUnknown},
		{replica.ErrClosed, rpc.ErrNotIngested},
		{target.ErrOutOfRange, rpc.ErrBadRequest},
	} {
		if errors.Is(err, t.from) && !errors.Is(err, t.to) {
			return fmt.Errorf("%w: %w", t.to, err)
		}
	}
	return err
}
