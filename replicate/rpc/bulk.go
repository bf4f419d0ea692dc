package rpc

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/replicate/pack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // the codec that everything but bulk uses
	"google.golang.org/grpc/mem"
)

// MaxMessageBytes bounds one message in either direction: a pack with its head, or a commit with small packs.
const MaxMessageBytes = pack.MaxBytes + 4<<20

// PutPackRequest asks a node to bring a pack to a quorum of the group's replicas.
type PutPackRequest struct {
	Group     ident.GroupID
	Term      uint64
	ID        pack.ID
	Forwarded bool   // between nodes: store it here and nowhere else
	Data      []byte // the whole pack; a server may keep it
}

// PackData is a whole pack.
type PackData struct {
	Data []byte
}

const putHeadBytes = 16 + 8 + 33 + 1

// bulk is a message that is not protobuf: a short head and a long body that is not copied when sent.
type bulk interface {
	marshalBulk() mem.BufferSlice
	unmarshalBulk(mem.BufferSlice) error
}

func (r *PutPackRequest) marshalBulk() mem.BufferSlice {
	head := make([]byte, putHeadBytes)
	copy(head, r.Group.UUID[:])
	binary.LittleEndian.PutUint64(head[16:], r.Term)
	copy(head[24:], r.ID[:])
	if r.Forwarded {
		head[57] = 1
	}
	return mem.BufferSlice{mem.SliceBuffer(head), mem.SliceBuffer(r.Data)}
}

func (r *PutPackRequest) unmarshalBulk(s mem.BufferSlice) error {
	b := s.Materialize()
	if len(b) < putHeadBytes || len(b) > putHeadBytes+pack.MaxBytes {
		return fmt.Errorf("%w: pack message of %d bytes", ErrBadRequest, len(b))
	}
	copy(r.Group.UUID[:], b)
	r.Term = binary.LittleEndian.Uint64(b[16:])
	copy(r.ID[:], b[24:])
	r.Forwarded = b[57] == 1
	r.Data = b[putHeadBytes:]
	return nil
}

func (d *PackData) marshalBulk() mem.BufferSlice { return mem.BufferSlice{mem.SliceBuffer(d.Data)} }

func (d *PackData) unmarshalBulk(s mem.BufferSlice) error {
	if s.Len() > pack.MaxBytes {
		return fmt.Errorf("%w: pack of %d bytes", ErrBadRequest, s.Len())
	}
	d.Data = s.Materialize()
	return nil
}

// codec is protobuf for protobuf messages and no-copy for bulk messages.
type codec struct{ proto encoding.CodecV2 }

// Codec returns the codec that both ends of every connection must use.
func Codec() encoding.CodecV2 { return codec{encoding.GetCodecV2("proto")} }

func (c codec) Name() string { return "proto" }

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if b, ok := v.(bulk); ok {
		return b.marshalBulk(), nil
	}
	return c.proto.Marshal(v)
}

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	if b, ok := v.(bulk); ok {
		return b.unmarshalBulk(data)
	}
	return c.proto.Unmarshal(data, v)
}

// BulkServer answers the calls that carry packs.
type BulkServer interface {
	PutPack(context.Context, *PutPackRequest) (*PutPackReply, error)
	FetchPack(context.Context, *FetchPackRequest) (*PackData, error)
}

const (
	bulkService   = "weir.v1.Bulk"
	putPackMethod = "/" + bulkService + "/PutPack"
	fetchMethod   = "/" + bulkService + "/FetchPack"
)

// RegisterBulkServer makes s answer the bulk calls that reach r.
func RegisterBulkServer(r grpc.ServiceRegistrar, s BulkServer) {
	r.RegisterService(&grpc.ServiceDesc{
		ServiceName: bulkService,
		HandlerType: (*BulkServer)(nil),
		Methods: []grpc.MethodDesc{
			{MethodName: "PutPack", Handler: bulkHandler(putPackMethod, BulkServer.PutPack)},
			{MethodName: "FetchPack", Handler: bulkHandler(fetchMethod, BulkServer.FetchPack)},
		},
		Metadata: "replicate/rpc/bulk.go",
	}, s)
}

// bulkHandler adapts one call to gRPC's handler type.
func bulkHandler[Req, Rep any](method string, call func(BulkServer, context.Context, *Req) (*Rep, error)) grpc.MethodHandler {
	return func(srv any, ctx context.Context, dec func(any) error, mw grpc.UnaryServerInterceptor) (any, error) {
		in := new(Req)
		if err := dec(in); err != nil {
			return nil, err
		}
		h := func(ctx context.Context, req any) (any, error) { return call(srv.(BulkServer), ctx, req.(*Req)) }
		if mw == nil {
			return h(ctx, in)
		}
		return mw(ctx, in, &grpc.UnaryServerInfo{Server: srv, FullMethod: method}, h)
	}
}

// PutPack calls BulkServer.PutPack over cc.
func PutPack(ctx context.Context, cc grpc.ClientConnInterface, r *PutPackRequest) (*PutPackReply, error) {
	out := new(PutPackReply)
	if err := cc.Invoke(ctx, putPackMethod, r, out); err != nil {
		return nil, FromStatus(err)
	}
	return out, nil
}

// FetchPack calls BulkServer.FetchPack over cc.
func FetchPack(ctx context.Context, cc grpc.ClientConnInterface, r *FetchPackRequest) (*PackData, error) {
	out := new(PackData)
	if err := cc.Invoke(ctx, fetchMethod, r, out); err != nil {
		return nil, FromStatus(err)
	}
	return out, nil
}
