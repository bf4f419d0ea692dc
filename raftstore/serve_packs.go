package raftstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/raftstore/meta"
	"github.com/weirstor/weir/raftstore/packs"
	"github.com/weirstor/weir/raftstore/peer"
	"github.com/weirstor/weir/replicate"
	"github.com/weirstor/weir/replicate/pack"
	"github.com/weirstor/weir/replicate/rpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

const (
	spreadTimeout = 30 * time.Second // for one pack to one replica
	askTimeout    = 5 * time.Second
	behindTimeout = 10 * time.Second // for a follower to learn of a session that the leader granted
	packsPerAsk   = 1 << 15
	methodPutPack = "/weir.v1.Bulk/PutPack"
	freedKey      = "weir-freed" // trailer of a forwarded PutPack: index of the acknowledgement
	bytesPerPeer  = 64 << 20     // of packs on their way to one replica
)

// placement is where a group lives.
type placement struct{ nodes []meta.Node }

// place returns the placement of a group.
func place(s *meta.State, group ident.GroupID) (placement, error) {
	g, err := s.Group(group)
	if err != nil {
		return placement{}, err
	}
	p := placement{}
	for _, name := range g.Replicas {
		if n, ok := s.Node(name); ok {
			p.nodes = append(p.nodes, n)
		}
	}
	if len(p.nodes) == 0 {
		return p, fmt.Errorf("%w: group %s is placed on no node", rpc.ErrNoQuorum, group)
	}
	return p, nil
}

// placeFor returns the placement of a group for a session term. A node that is behind waits until it knows the term.
func (n *Node) placeFor(ctx context.Context, group ident.GroupID, term uint64) (placement, error) {
	ctx, cancel := context.WithTimeout(ctx, behindTimeout)
	defer cancel()
	var p placement
	err := n.fsm.wait(ctx, func(s *meta.State) (bool, error) {
		err := s.CheckTerm(group, term)
		if errors.Is(err, rpc.ErrUnknown) {
			return false, nil
		}
		if err == nil {
			p, err = place(s, group)
		}
		return err == nil, err
	})
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%w: node %s knows no session term %d of group %s", rpc.ErrNoQuorum, n.opt.Name, term, group)
	}
	return p, err
}

// PutPack implements rpc.BulkServer.
func (s *server) PutPack(ctx context.Context, r *rpc.PutPackRequest) (*rpc.PutPackReply, error) {
	if r.Forwarded {
		if err := requireNode(ctx); err != nil {
			return nil, err
		}
		freed, err := s.removal.put(r.ID, r.Data)
		if err == nil {
			err = s.opt.fault(stepStored)
		}
		if err != nil {
			return nil, err
		}
		return &rpc.PutPackReply{Nodes: []string{s.opt.Name}},
			grpc.SetTrailer(ctx, metadata.Pairs(freedKey, strconv.FormatUint(freed, 10)))
	}
	p, err := s.placeFor(ctx, r.Group, r.Term)
	if err != nil {
		return nil, err
	}
	if _, err := pack.Open(r.Data, r.ID); err != nil {
		return nil, err
	}
	acks, err := s.spread(ctx, p, r)
	if err != nil {
		return nil, err
	}
	reply := &rpc.PutPackReply{}
	for _, a := range acks {
		i := slices.IndexFunc(p.nodes, func(n meta.Node) bool { return n.ID == a.Node })
		reply.Nodes = append(reply.Nodes, p.nodes[i].Name)
	}
	return reply, nil
}

type outcome struct {
	ack meta.Ack
	err error
}

// spread brings a pack to a group's replicas and returns when a quorum of them has it on stable storage, with their
// acknowledgements. What is under way to the others then goes on.
func (n *Node) spread(ctx context.Context, p placement, r *rpc.PutPackRequest) (ackList, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan outcome, len(p.nodes))
	for _, to := range p.nodes {
		n.wg.Add(1)
		go func() {
			defer n.wg.Done()
			freed, err := n.send(ctx, to, r)
			if err == nil {
				n.acks.add(r.ID, meta.Ack{Node: to.ID, Freed: freed})
			}
			results <- outcome{meta.Ack{Node: to.ID, Freed: freed}, err}
		}()
	}
	var acks ackList
	var errs []error
	want := meta.Quorum(len(p.nodes))
	for range p.nodes {
		select {
		case o := <-results:
			if o.err == nil {
				acks = append(acks, o.ack)
			} else {
				errs = append(errs, fmt.Errorf("%s: %w", o.ack.Node, o.err))
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if len(acks) == want {
			return acks, nil
		}
		if len(p.nodes)-len(errs) < want {
			break
		}
	}
	return nil, tooFew(errs)
}

// tooFew names what kept replicas from a quorum. That one is full must reach the gateway as such.
func tooFew(errs []error) error {
	err := errors.Join(errs...)
	for _, kind := range []error{packs.ErrFull, rpc.ErrFull, rpc.ErrStaleTerm} {
		if errors.Is(err, kind) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", rpc.ErrNoQuorum, err)
}

// send brings a pack to one replica. Before anything is sent it gives up with ctx, after that only with the node.
func (n *Node) send(ctx context.Context, to meta.Node, r *rpc.PutPackRequest) (freed uint64, err error) {
	if to.ID == n.ID() {
		return n.removal.put(r.ID, r.Data)
	}
	release, err := n.sending.take(ctx, to.ID, int64(len(r.Data)))
	if err != nil {
		return 0, err
	}
	defer release()
	ctx, cancel := context.WithTimeout(n.ctx, spreadTimeout)
	defer cancel()
	var trailer metadata.MD
	_, err = call(ctx, n.peers, to.Address, func(ctx context.Context, cc grpc.ClientConnInterface) (*rpc.PutPackReply, error) {
		q := &rpc.PutPackRequest{Group: r.Group, Term: r.Term, ID: r.ID, Forwarded: true, Data: r.Data}
		out := new(rpc.PutPackReply)
		return out, cc.Invoke(ctx, methodPutPack, q, out, grpc.Trailer(&trailer))
	})
	if err != nil {
		return 0, err
	}
	if v := trailer.Get(freedKey); len(v) == 1 {
		freed, err = strconv.ParseUint(v[0], 10, 64)
	}
	return freed, err
}

// FetchPack implements rpc.BulkServer: a wire pack that this node has.
func (s *server) FetchPack(ctx context.Context, r *rpc.FetchPackRequest) (*rpc.PackData, error) {
	if err := requireNode(ctx); err != nil {
		return nil, err
	}
	id, err := toPackID(r.GetId())
	if err != nil {
		return nil, err
	}
	b, err := s.packs.Get(id)
	if err != nil {
		return nil, err
	}
	return &rpc.PackData{Data: b}, nil
}

// fetch gets a wire pack from another node that has it. When none of the group's replicas can be asked now, the error
// is theirs; when all were asked and none has it, packs.ErrNotFound.
func (n *Node) fetch(ctx context.Context, group ident.GroupID, id pack.ID) ([]byte, error) {
	p, err := try(n.fsm, func(s *meta.State) (placement, error) { return place(s, group) })
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, from := range p.nodes {
		if from.ID == n.ID() {
			continue
		}
		b, err := n.fetchFrom(ctx, from, group, id)
		if err == nil {
			return b, nil
		}
		if !errors.Is(err, rpc.ErrUnknown) {
			errs = append(errs, fmt.Errorf("%s: %w", from.Name, err))
		}
	}
	if len(errs) == 0 {
		return nil, fmt.Errorf("%w: %s, at no replica of group %s", packs.ErrNotFound, id, group)
	}
	return nil, fmt.Errorf("fetch pack %s: %w", id, errors.Join(errs...))
}

func (n *Node) fetchFrom(ctx context.Context, from meta.Node, group ident.GroupID, id pack.ID) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, spreadTimeout)
	defer cancel()
	d, err := call(ctx, n.peers, from.Address, func(ctx context.Context, cc grpc.ClientConnInterface) (*rpc.PackData, error) {
		return rpc.FetchPack(ctx, cc, &rpc.FetchPackRequest{Group: group.UUID[:], Id: id[:]})
	})
	if err != nil {
		return nil, err
	}
	if _, err := pack.Open(d.Data, id); err != nil {
		return nil, err
	}
	return d.Data, nil
}

// Has implements peer.PeerServer.
func (s *server) Has(ctx context.Context, r *peer.HasRequest) (*peer.HasReply, error) {
	if len(r.GetPacks()) > packsPerAsk {
		return nil, fmt.Errorf("%w: %d packs asked for at once, at most %d", rpc.ErrBadRequest, len(r.GetPacks()), packsPerAsk)
	}
	ids := make([]pack.ID, len(r.GetPacks()))
	for i, b := range r.GetPacks() {
		id, err := toPackID(b)
		if err != nil {
			return nil, err
		}
		ids[i] = id
	}
	have, freed, err := s.removal.has(ctx, ids, r.GetFreed())
	return &peer.HasReply{Have: have, Freed: freed}, err
}

// ask finds out which replicas hold the packs that t misses, and enters it in t. It returns as soon as each pack is
// known to be on a quorum, or all nodes have answered or failed.
func (n *Node) ask(ctx context.Context, refs []pack.Ref, t *tally) {
	type answer struct {
		node  meta.Node
		have  []bool
		freed uint64
		err   error
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	want := t.missing()
	answers := make(chan answer, len(t.nodes))
	for _, node := range t.nodes {
		n.wg.Add(1)
		go func() {
			defer n.wg.Done()
			have, freed, err := n.askNode(ctx, node, refs, want, t.floorMax())
			answers <- answer{node, have, freed, err}
		}()
	}
	for range t.nodes {
		a := <-answers
		if a.err != nil {
			n.log.Debug("asking for packs", "at", a.node.Name, "err", a.err)
			continue
		}
		for i, have := range a.have {
			if have {
				t.count(want[i], ackList{{Node: a.node.ID, Freed: a.freed}})
			}
		}
		if len(t.missing()) == 0 {
			return
		}
	}
}

// askNode asks one node for the packs of refs that want lists, once it has carried out deletions up to floor.
func (n *Node) askNode(ctx context.Context, node meta.Node, refs []pack.Ref, want []int, floor uint64) (have []bool, freed uint64, err error) {
	freed = 1<<64 - 1
	for part := range slices.Chunk(want, packsPerAsk) {
		ids := make([]pack.ID, len(part))
		raw := make([][]byte, len(part))
		for i, w := range part {
			ids[i] = refs[w].ID
			raw[i] = refs[w].ID[:]
		}
		var got []bool
		var at uint64
		if node.ID == n.ID() {
			if got, at, err = n.removal.has(ctx, ids, floor); err != nil {
				return nil, 0, err
			}
		} else {
			r, err := call(ctx, n.peers, node.Address, func(ctx context.Context, cc grpc.ClientConnInterface) (*peer.HasReply, error) {
				return peer.NewPeerClient(cc).Has(ctx, &peer.HasRequest{Packs: raw, Freed: floor})
			})
			if err != nil {
				return nil, 0, err
			}
			got, at = r.GetHave(), r.GetFreed()
		}
		if len(got) != len(part) {
			return nil, 0, fmt.Errorf("%s answered for %d packs of %d", node.Name, len(got), len(part))
		}
		have, freed = append(have, got...), min(freed, at)
	}
	return have, freed, nil
}

// HavePacks implements rpc.ProviderServer.
func (s *server) HavePacks(ctx context.Context, r *rpc.HavePacksRequest) (*rpc.HavePacksReply, error) {
	group, err := toGroup(r.GetGroup())
	if err != nil {
		return nil, err
	}
	if len(r.GetPacks()) > replicate.MaxPacks {
		return nil, fmt.Errorf("%w: %d packs", rpc.ErrBadRequest, len(r.GetPacks()))
	}
	refs := make([]pack.Ref, len(r.GetPacks()))
	for i, m := range r.GetPacks() {
		if refs[i].ID, err = toPackID(m.GetId()); err != nil {
			return nil, err
		}
		refs[i].Size = m.GetSize()
	}
	if _, err := s.placeFor(ctx, group, r.GetTerm()); err != nil || len(refs) == 0 {
		return &rpc.HavePacksReply{}, err
	}
	t, err := try(s.fsm, func(st *meta.State) (*tally, error) { return newTally(st, group, refs) })
	if err != nil {
		return nil, err
	}
	s.ask(ctx, refs, t)
	reply := &rpc.HavePacksReply{}
	for _, i := range t.missing() {
		reply.Missing = append(reply.Missing, uint32(i))
	}
	return reply, nil
}
