package rpc

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/replicate/pack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// fakeNode answers Points and the bulk calls, as leader or not.
type fakeNode struct {
	UnimplementedProviderServer
	leader  *atomic.Value // string: the leader's address
	address string
	calls   atomic.Int32
	put     *PutPackRequest
}

func (n *fakeNode) Points(context.Context, *PointsRequest) (*PointsReply, error) {
	n.calls.Add(1)
	if at := n.leader.Load().(string); at != n.address {
		return nil, ToStatus(&NotLeader{Address: at})
	}
	return &PointsReply{Points: []*PointInfo{{Name: n.address}}}, nil
}

func (n *fakeNode) NamePoint(context.Context, *NamePointRequest) (*NamePointReply, error) {
	n.calls.Add(1)
	return nil, ToStatus(fmt.Errorf("point 7: %w", ErrUnknown))
}

func (n *fakeNode) PutPack(_ context.Context, r *PutPackRequest) (*PutPackReply, error) {
	n.put = r
	return &PutPackReply{Nodes: []string{n.address}}, nil
}

func (n *fakeNode) FetchPack(context.Context, *FetchPackRequest) (*PackData, error) {
	return &PackData{Data: n.put.Data}, nil
}

// testTLS returns the two sides of TLS with one self-made certificate.
func testTLS(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	cert := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return &tls.Config{Certificates: []tls.Certificate{cert}}, &tls.Config{RootCAs: pool}
}

// startNodes starts n fake nodes; the first leads. Each is stopped by its returned function or by the test's end.
func startNodes(t *testing.T, n int) (nodes []*fakeNode, stop []func(), client *tls.Config) {
	t.Helper()
	server, client := testTLS(t)
	var leader atomic.Value
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		node := &fakeNode{leader: &leader, address: l.Addr().String()}
		if len(nodes) == 0 {
			leader.Store(node.address)
		}
		s := grpc.NewServer(append(ServerOptions(), grpc.Creds(credentials.NewTLS(server)))...)
		RegisterProviderServer(s, node)
		RegisterBulkServer(s, node)
		go func() { _ = s.Serve(l) }()
		t.Cleanup(s.Stop)
		nodes, stop = append(nodes, node), append(stop, s.Stop)
	}
	return nodes, stop, client
}

func dialNodes(t *testing.T, conf *tls.Config, traffic *Traffic, addresses ...string) *Client {
	t.Helper()
	c, err := Dial(ClientOptions{Addresses: addresses, TLS: conf, Traffic: traffic})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func askLeader(t *testing.T, c *Client) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	reply, err := NewProviderClient(c).Points(ctx, &PointsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return reply.GetPoints()[0].GetName()
}

func TestClientFollowsTheLeader(t *testing.T) {
	nodes, stop, conf := startNodes(t, 3)
	c := dialNodes(t, conf, nil, nodes[1].address) // knows only one that does not lead
	if got := askLeader(t, c); got != nodes[0].address {
		t.Fatalf("answered by %s, want the leader %s", got, nodes[0].address)
	}
	before := nodes[1].calls.Load()
	askLeader(t, c)
	if nodes[1].calls.Load() != before {
		t.Error("the leader was not remembered")
	}
	stop[0]()
	nodes[0].leader.Store(nodes[2].address)
	if got := askLeader(t, c); got != nodes[2].address {
		t.Fatalf("after the leader died: answered by %s, want %s", got, nodes[2].address)
	}
}

func TestClientOutlivesTheOnlyNodeItWasToldOf(t *testing.T) {
	nodes, stop, conf := startNodes(t, 2)
	c := dialNodes(t, conf, nil, nodes[0].address)
	c.Learn(nodes[1].address)
	c.Learn("")
	stop[0]()
	nodes[0].leader.Store(nodes[1].address)
	if got := askLeader(t, c); got != nodes[1].address {
		t.Fatalf("answered by %s, want %s", got, nodes[1].address)
	}
}

func TestClientReturnsRefusalsAtOnce(t *testing.T) {
	nodes, _, conf := startNodes(t, 1)
	c := dialNodes(t, conf, nil, nodes[0].address)
	_, err := NewProviderClient(c).NamePoint(t.Context(), &NamePointRequest{})
	if !errors.Is(err, ErrUnknown) || nodes[0].calls.Load() != 1 {
		t.Fatalf("got %v after %d calls", err, nodes[0].calls.Load())
	}
}

func TestClientGivesUpWithItsContext(t *testing.T) {
	_, conf := testTLS(t)
	c := dialNodes(t, conf, nil, "127.0.0.1:1") // nothing listens there
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := NewProviderClient(c).Points(ctx, &PointsRequest{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v, want the deadline", err)
	}
}

func TestPacksTravelWhole(t *testing.T) {
	nodes, _, conf := startNodes(t, 1)
	var traffic Traffic
	c := dialNodes(t, conf, &traffic, nodes[0].address)
	data := make([]byte, pack.MaxBytes)
	_, _ = rand.Read(data)
	want := &PutPackRequest{Group: ident.GroupID{UUID: ident.NewUUID()}, Term: 9, ID: pack.Sum(data), Forwarded: true, Data: data}
	if _, err := PutPack(t.Context(), c, want); err != nil {
		t.Fatal(err)
	}
	got := nodes[0].put
	if got.Group != want.Group || got.Term != 9 || got.ID != want.ID || !got.Forwarded || !bytes.Equal(got.Data, data) {
		t.Fatal("the pack arrived changed")
	}
	back, err := FetchPack(t.Context(), c, &FetchPackRequest{})
	if err != nil || !bytes.Equal(back.Data, data) {
		t.Fatalf("fetched something else: %v", err)
	}
	if sent := traffic.Sent.Load(); sent < pack.MaxBytes || sent > pack.MaxBytes+pack.MaxBytes/50 {
		t.Errorf("counted %d bytes for a pack of %d", sent, len(data))
	}
}

func TestBulkRefusesNonsense(t *testing.T) {
	for _, n := range []int{0, 1, putHeadBytes - 1, putHeadBytes + pack.MaxBytes + 1} {
		err := new(PutPackRequest).unmarshalBulk((&PackData{Data: make([]byte, n)}).marshalBulk())
		if !errors.Is(err, ErrBadRequest) {
			t.Errorf("%d bytes: got %v", n, err)
		}
	}
}
