package appliance

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/appliance/certs"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/replicate/rpc"
)

const (
	clusterPoll    = time.Second     // between two looks at the cluster for the status
	clusterTimeout = 5 * time.Second // of a call that a person waits for
	pollTimeout    = 2 * time.Second // of a look for the status
	clusterStale   = 5 * time.Second // a look older than this is not shown as present
)

// cluster is the provider cluster as this process sees it, over connections of its own: looking costs no bytes of the
// connection whose bytes are counted. One goroutine keeps the latest look for the status.
type cluster struct {
	client *rpc.Client
	calls  rpc.ProviderClient
	cancel context.CancelFunc
	joined chan struct{}

	mu struct {
		sync.Mutex
		at     time.Time // of the latest look that was answered
		err    error     // of the latest look
		status *rpc.StatusReply
		disks  []*rpc.DiskStatus
	}
}

// startCluster connects to the cluster with the identity l.
func (s *System) startCluster(l *certs.Loaded) error {
	client, err := rpc.Dial(rpc.ClientOptions{Addresses: s.providers(), TLS: l.TLS()})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &cluster{client: client, calls: rpc.NewProviderClient(client), cancel: cancel, joined: make(chan struct{})}
	go c.watch(ctx)
	s.cluster = c
	s.closing.add("view of the cluster", func() error {
		cancel()
		<-c.joined
		return client.Close()
	})
	return nil
}

// watch looks at the cluster every clusterPoll.
func (c *cluster) watch(ctx context.Context) {
	defer close(c.joined)
	tick := time.NewTicker(clusterPoll)
	defer tick.Stop()
	for {
		c.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (c *cluster) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	status, err := c.calls.Status(ctx, &rpc.StatusRequest{})
	var disks *rpc.DisksReply
	if err == nil {
		disks, err = c.calls.Disks(ctx, &rpc.DisksRequest{})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.err = err
	if err == nil {
		c.mu.at, c.mu.status, c.mu.disks = time.Now(), status, disks.GetDisks()
	}
}

// latest returns the latest look and why there is no newer one.
func (c *cluster) latest() (*rpc.StatusReply, []*rpc.DiskStatus, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.mu.err
	if c.mu.status == nil && err == nil {
		err = fmt.Errorf("%w: the provider cluster has not answered yet", api.ErrUnavailable)
	}
	if time.Since(c.mu.at) < clusterStale {
		return c.mu.status, c.mu.disks, err
	}
	return nil, nil, err
}

// clusterError gives an error of a call the meaning that the API knows.
func clusterError(err error) error {
	if err == nil {
		return nil
	}
	for _, m := range []struct{ from, to error }{
		{rpc.ErrUnknown, api.ErrNotFound}, {rpc.ErrBadRequest, api.ErrInvalid},
		{rpc.ErrExists, api.ErrConflict}, {rpc.ErrInUse, api.ErrConflict}, {rpc.ErrOwned, api.ErrConflict},
		{rpc.ErrNotLeader, api.ErrUnavailable}, {rpc.ErrNoQuorum, api.ErrUnavailable}, {rpc.ErrNotIngested, api.ErrUnavailable},
		{context.DeadlineExceeded, api.ErrUnavailable}, {context.Canceled, api.ErrUnavailable},
	} {
		if errors.Is(err, m.from) {
			return fmt.Errorf("%w: %w", m.to, err)
		}
	}
	return fmt.Errorf("provider: %w", err)
}

// Cluster implements admin.Cluster.
func (s *System) Cluster(ctx context.Context) (api.Cluster, error) {
	c, err := s.clusterUp()
	if err != nil {
		return api.Cluster{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	st, err := c.calls.Status(ctx, &rpc.StatusRequest{})
	if err != nil {
		return api.Cluster{}, clusterError(err)
	}
	return describeCluster(st), nil
}

// RemoveNode implements admin.Cluster.
func (s *System) RemoveNode(ctx context.Context, name string) (api.Cluster, error) {
	c, err := s.clusterUp()
	if err != nil {
		return api.Cluster{}, err
	}
	call, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	if _, err := c.calls.Remove(call, &rpc.RemoveRequest{Name: name}); err != nil {
		return api.Cluster{}, clusterError(err)
	}
	s.event("warning", "node.removed", "node "+name+" was removed from the cluster")
	return s.Cluster(ctx)
}

func (s *System) clusterUp() (*cluster, error) {
	if s.phase() == api.HealthStarting || s.cluster == nil {
		return nil, fmt.Errorf("%w: the system is starting", api.ErrUnavailable)
	}
	return s.cluster, nil
}

func describeCluster(st *rpc.StatusReply) api.Cluster {
	c := api.Cluster{ID: uuidText(st.GetCluster()), Leader: st.GetLeader(), Applied: st.GetAppliedIndex()}
	for _, n := range st.GetNodes() {
		c.Nodes = append(c.Nodes, api.Node{
			Name: n.GetName(), ID: n.GetId(), Address: n.GetAddress(), Voter: n.GetVoter(), Leader: n.GetLeader(),
			Reachable: n.GetReachable(), Packs: n.GetPacks(), PackBytes: n.GetPackBytes(), Error: n.GetError(),
		})
	}
	return c
}

func uuidText(b []byte) string {
	u, err := rpc.ToUUID(b)
	if err != nil {
		return ""
	}
	return u.String()
}

// describePoint turns a point of a call into one of the API; the zero point for what can not be read.
func describePoint(m *rpc.Point) api.Point {
	p, err := rpc.ToPoint(m)
	if err != nil {
		return api.Point{}
	}
	return apiPoint(p)
}

func apiPoint(p ident.Point) api.Point {
	if p.IsZero() {
		return api.Point{}
	}
	return api.Point{Timeline: p.Timeline.String(), End: uint64(p.End), Digest: p.Digest.String()}
}
