package raftstore

import (
	"context"
	"fmt"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/raftstore/meta"
	"github.com/weirstor/weir/replicate/rpc"
)

// noteBytesMax bounds what a pin says for people.
const noteBytesMax = 256

// owner names the caller as pins do.
func owner(id identity) string { return string(id.role) + "/" + id.name }

// AddPin implements rpc.PointsServer.
func (s *server) AddPin(ctx context.Context, r *rpc.AddPinRequest) (*rpc.AddPinReply, error) {
	id, err := rpc.ToUUID(r.GetPin().GetId())
	if err != nil {
		return nil, fmt.Errorf("pin: %w", err)
	}
	p, err := toPoint(r.GetPin().GetPoint())
	if err != nil {
		return nil, err
	}
	if len(r.GetPin().GetNote()) > noteBytesMax {
		return nil, fmt.Errorf("%w: note of %d bytes, at most %d", rpc.ErrBadRequest, len(r.GetPin().GetNote()), noteBytesMax)
	}
	if err := s.requireLeader(ctx); err != nil {
		return nil, err
	}
	_, err = s.propose(&meta.AddPin{Pin: meta.Pin{ID: id, Point: p, Owner: owner(caller(ctx)), Note: r.GetPin().GetNote()}})
	return &rpc.AddPinReply{}, err
}

// RemovePin implements rpc.PointsServer.
func (s *server) RemovePin(ctx context.Context, r *rpc.RemovePinRequest) (*rpc.RemovePinReply, error) {
	id, err := rpc.ToUUID(r.GetId())
	if err != nil {
		return nil, fmt.Errorf("pin: %w", err)
	}
	if err := s.consistent(ctx); err != nil {
		return nil, err
	}
	me := owner(caller(ctx))
	for _, p := range view(s.fsm, (*meta.State).Pins) {
		if p.ID == id && p.Owner != me && !r.GetForce() {
			return nil, fmt.Errorf("%w: pin %s belongs to %s", rpc.ErrInUse, id, p.Owner)
		}
	}
	_, err = s.propose(&meta.RemovePin{ID: id})
	return &rpc.RemovePinReply{}, err
}

// Pins implements rpc.PointsServer.
func (s *server) Pins(ctx context.Context, r *rpc.PinsRequest) (*rpc.PinsReply, error) {
	if err := s.consistent(ctx); err != nil {
		return nil, err
	}
	me := owner(caller(ctx))
	reply := &rpc.PinsReply{}
	for _, p := range view(s.fsm, (*meta.State).Pins) {
		if r.GetOwn() && p.Owner != me {
			continue
		}
		reply.Pins = append(reply.Pins, &rpc.Pin{Id: p.ID[:], Point: rpc.FromPoint(p.Point), Owner: p.Owner, Note: p.Note})
	}
	return reply, nil
}

// SetRule implements rpc.PointsServer.
func (s *server) SetRule(ctx context.Context, r *rpc.SetRuleRequest) (*rpc.SetRuleReply, error) {
	group, err := toGroup(r.GetGroup())
	if err != nil {
		return nil, err
	}
	if err := s.requireLeader(ctx); err != nil {
		return nil, err
	}
	_, err = s.propose(&meta.SetRule{Group: group, Rule: toRule(r.GetRule())})
	return &rpc.SetRuleReply{}, err
}

// Rule implements rpc.PointsServer.
func (s *server) Rule(ctx context.Context, r *rpc.RuleRequest) (*rpc.RuleReply, error) {
	group, err := toGroup(r.GetGroup())
	if err != nil {
		return nil, err
	}
	if err := s.consistent(ctx); err != nil {
		return nil, err
	}
	rule, drops := try(s.fsm, func(st *meta.State) (meta.Rule, []uint64) {
		rule := st.RuleOf(group)
		if r.GetInstead() != nil {
			rule = toRule(r.GetInstead())
		}
		return rule, st.ExcessBy(group, rule, deletesMax, s.diskShows(group))
	})
	return &rpc.RuleReply{Rule: fromRule(rule), Drops: drops}, nil
}

// diskShows reports of points of a group whether a disk shows them, as far as is known.
func (n *Node) diskShows(group ident.GroupID) func(number uint64) bool {
	return func(number uint64) bool { return n.house.pinned(group, number) }
}

func toRule(m *rpc.RetentionRule) meta.Rule {
	return meta.Rule{Last: m.GetLast(), Hourly: m.GetHourly(), Daily: m.GetDaily(), Weekly: m.GetWeekly(),
		Monthly: m.GetMonthly(), Yearly: m.GetYearly()}
}

func fromRule(r meta.Rule) *rpc.RetentionRule {
	return &rpc.RetentionRule{Last: r.Last, Hourly: r.Hourly, Daily: r.Daily, Weekly: r.Weekly, Monthly: r.Monthly, Yearly: r.Yearly}
}
