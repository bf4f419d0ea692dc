package rpc

import (
	"errors"
	"fmt"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What a provider refuses, and why. They keep their identity across the wire: a server returns them through ToStatus,
// a client gets them back through FromStatus, wrapped with the server's text.
var (
	ErrNotLeader   = errors.New("this node does not lead the cluster")
	ErrStaleTerm   = errors.New("another gateway session has taken over the group")
	ErrOwned       = errors.New("the group belongs to another gateway; take it over explicitly")
	ErrForeign     = errors.New("the gateway belongs to another cluster")
	ErrNotHead     = errors.New("the commit does not build on the head")
	ErrFork        = errors.New("another commit with the same end exists")
	ErrHistory     = errors.New("the cluster's head is not in the gateway's history")
	ErrOtherGroup  = errors.New("the cluster holds another group of this gateway and name")
	ErrMissing     = errors.New("a pack is not on a quorum of replicas; send it again")
	ErrNoQuorum    = errors.New("too few replicas are reachable")
	ErrUnknown     = errors.New("no such object")
	ErrInUse       = errors.New("in use")
	ErrExists      = errors.New("exists already")
	ErrBadRequest  = errors.New("bad request")
	ErrDamaged     = errors.New("stored data is damaged")
	ErrFull        = errors.New("no space left on the provider")
	ErrNotIngested = errors.New("this node does not hold the point yet")
)

const errorDomain = "weir"

// reasons ties each sentinel to its name on the wire.
var reasons = []struct {
	err    error
	reason string
	code   codes.Code
}{
	{ErrNotLeader, "NOT_LEADER", codes.Unavailable},
	{ErrStaleTerm, "STALE_TERM", codes.FailedPrecondition},
	{ErrOwned, "OWNED", codes.FailedPrecondition},
	{ErrForeign, "FOREIGN_CLUSTER", codes.FailedPrecondition},
	{ErrNotHead, "NOT_HEAD", codes.FailedPrecondition},
	{ErrFork, "FORK", codes.FailedPrecondition},
	{ErrHistory, "HISTORY", codes.FailedPrecondition},
	{ErrOtherGroup, "OTHER_GROUP", codes.FailedPrecondition},
	{ErrMissing, "MISSING_PACK", codes.FailedPrecondition},
	{ErrNoQuorum, "NO_QUORUM", codes.Unavailable},
	{ErrUnknown, "UNKNOWN", codes.NotFound},
	{ErrInUse, "IN_USE", codes.FailedPrecondition},
	{ErrExists, "EXISTS", codes.AlreadyExists},
	{ErrBadRequest, "BAD_REQUEST", codes.InvalidArgument},
	{ErrDamaged, "DAMAGED", codes.DataLoss},
	{ErrFull, "FULL", codes.ResourceExhausted},
	{ErrNotIngested, "NOT_INGESTED", codes.Unavailable},
}

// LeaderKey is the metadata of an ErrNotLeader that holds the leader's address, when it is known.
const LeaderKey = "leader"

// NotLeader is an ErrNotLeader that says where the leader is.
type NotLeader struct{ Address string }

func (e *NotLeader) Error() string { return fmt.Sprintf("%v; leader is %q", ErrNotLeader, e.Address) }

func (e *NotLeader) Unwrap() error { return ErrNotLeader }

// ToStatus turns err into what gRPC sends. Errors without a sentinel become codes.Internal with their text.
func ToStatus(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	for _, r := range reasons {
		if !errors.Is(err, r.err) {
			continue
		}
		info := &errdetails.ErrorInfo{Reason: r.reason, Domain: errorDomain}
		var nl *NotLeader
		if errors.As(err, &nl) {
			info.Metadata = map[string]string{LeaderKey: nl.Address}
		}
		if st, derr := status.New(r.code, err.Error()).WithDetails(info); derr == nil {
			return st.Err()
		}
	}
	return status.Error(codes.Internal, err.Error())
}

// FromStatus turns an error of a gRPC call back into the sentinel that the server returned, wrapped with its text. Any
// other error is returned as it is.
func FromStatus(err error) error {
	st, ok := status.FromError(err)
	if !ok || err == nil {
		return err
	}
	for _, d := range st.Details() {
		info, ok := d.(*errdetails.ErrorInfo)
		if !ok || info.GetDomain() != errorDomain {
			continue
		}
		for _, r := range reasons {
			if r.reason != info.GetReason() {
				continue
			}
			if r.err == ErrNotLeader {
				return &NotLeader{Address: info.GetMetadata()[LeaderKey]}
			}
			return &remoteError{text: st.Message(), sentinel: r.err}
		}
	}
	return err
}

// remoteError is a sentinel that came over the wire, with the text that the server gave it.
type remoteError struct {
	text     string
	sentinel error
}

func (e *remoteError) Error() string { return e.text }

func (e *remoteError) Unwrap() error { return e.sentinel }
