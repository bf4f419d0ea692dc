package replicate

import (
	"context"
	"fmt"
	"time"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/replicate/pack"
	"github.com/weirstor/weir/replicate/rpc"
)

// Provider is what a Shipper needs of the provider cluster. Every call blocks until it is answered or ctx ends, and may
// be repeated without harm. Errors are those of replicate/rpc.
type Provider interface {
	// OpenSession gets the next session term of the group.
	OpenSession(ctx context.Context, r SessionRequest) (Session, error)

	// PutPack returns when a quorum of the group's replicas has the pack on stable storage. p.Bytes is not kept.
	PutPack(ctx context.Context, group ident.GroupID, term uint64, p pack.Pack) error

	// CheckSession returns nil while term is the group's present session term; rpc.ErrStaleTerm when it is not.
	CheckSession(ctx context.Context, group ident.GroupID, term uint64) error

	// Commit makes c a point, exactly once however often it is called. inline are packs of c that were not put.
	Commit(ctx context.Context, term uint64, c *Commit, inline []pack.Pack) (number uint64, err error)
}

// SessionRequest says who asks for a group.
type SessionRequest struct {
	Group       ident.GroupID
	GroupName   string
	Gateway     ident.UUID // of the gateway's data folder
	GatewayName string
	Cluster     ident.ClusterID // zero: none known yet
	KnownHead   ident.Point     // last point known to be committed; zero: none
	Sent        ident.Point     // its commit may have been sent; zero: none
	Takeover    bool            // take the group from another gateway
	Replace     bool            // go on although the head is neither KnownHead nor Sent
	Apart       bool            // begin a group beside one of the same gateway and name
}

// Session is a granted session term and what the provider holds.
type Session struct {
	Cluster ident.ClusterID
	Term    uint64
	Head    ident.Point
	States  map[ident.VolumeID]leaf.State // at Head
	Volumes []VolumeState                 // at Head, without counts
}

// learnTimeout bounds the one question that a session can do without.
const learnTimeout = 2 * time.Second

var _ Provider = (*Remote)(nil)

// Remote is a Provider at the other end of a client.
type Remote struct {
	client *rpc.Client
	calls  rpc.ProviderClient
}

// NewRemote returns a Provider that calls over c; closing c stays with the caller.
func NewRemote(c *rpc.Client) *Remote { return &Remote{client: c, calls: rpc.NewProviderClient(c)} }

func (r *Remote) OpenSession(ctx context.Context, q SessionRequest) (Session, error) {
	reply, err := r.calls.OpenSession(ctx, &rpc.OpenSessionRequest{
		Group:       q.Group.UUID[:],
		GroupName:   q.GroupName,
		Gateway:     q.Gateway[:],
		GatewayName: q.GatewayName,
		Cluster:     clusterBytes(q.Cluster),
		KnownHead:   rpc.FromPoint(q.KnownHead),
		Sent:        rpc.FromPoint(q.Sent),
		Takeover:    q.Takeover,
		Replace:     q.Replace,
		Apart:       q.Apart,
	})
	if err != nil {
		return Session{}, err
	}
	r.learnNodes(ctx)
	s := Session{Term: reply.GetTerm(), States: make(map[ident.VolumeID]leaf.State)}
	if s.Cluster.UUID, err = rpc.ToUUID(reply.GetCluster()); err != nil {
		return Session{}, fmt.Errorf("cluster in session reply: %w", err)
	}
	if s.Head, err = rpc.ToPoint(reply.GetHead()); err != nil {
		return Session{}, fmt.Errorf("head in session reply: %w", err)
	}
	for _, v := range reply.GetVolumes() {
		id, err := rpc.ToUUID(v.GetVolume())
		if err != nil || len(v.GetStateHash()) != 16 {
			return Session{}, fmt.Errorf("volume in session reply: %w: ID of %d, state hash of %d bytes",
				rpc.ErrBadRequest, len(v.GetVolume()), len(v.GetStateHash()))
		}
		volume := VolumeState{
			Volume: ident.VolumeID{UUID: id}, Name: v.GetName(), Size: v.GetSize(), BlockSize: int(v.GetBlockSize()),
			State: leaf.StateOf([16]byte(v.GetStateHash())), Partial: v.GetPartial(),
		}
		s.States[volume.Volume] = volume.State
		s.Volumes = append(s.Volumes, volume)
	}
	return s, nil
}

// learnNodes asks for all nodes of the cluster, so that the gateway finds the next leader although it was told of one
// node only. Without an answer the client goes on with the addresses that it has.
func (r *Remote) learnNodes(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, learnTimeout)
	defer cancel()
	st, err := r.calls.Status(ctx, &rpc.StatusRequest{})
	if err != nil {
		return
	}
	for _, n := range st.GetNodes() {
		r.client.Learn(n.GetAddress())
	}
}

func clusterBytes(c ident.ClusterID) []byte {
	if c.IsZero() {
		return nil
	}
	return c.UUID[:]
}

func (r *Remote) PutPack(ctx context.Context, group ident.GroupID, term uint64, p pack.Pack) error {
	_, err := rpc.PutPack(ctx, r.client, &rpc.PutPackRequest{Group: group, Term: term, ID: p.ID, Data: p.Bytes})
	return err
}

func (r *Remote) CheckSession(ctx context.Context, group ident.GroupID, term uint64) error {
	_, err := r.calls.HavePacks(ctx, &rpc.HavePacksRequest{Group: group.UUID[:], Term: term})
	return err
}

func (r *Remote) Commit(ctx context.Context, term uint64, c *Commit, inline []pack.Pack) (uint64, error) {
	q := &rpc.CommitRequest{Group: c.Group.UUID[:], Term: term, Commit: c.Encode()}
	for _, p := range inline {
		q.Packs = append(q.Packs, p.Bytes)
	}
	reply, err := r.calls.Commit(ctx, q)
	if err != nil {
		return 0, err
	}
	return reply.GetNumber(), nil
}
