package raftstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/raftstore/meta"
	"github.com/weirstor/weir/raftstore/packs"
	"google.golang.org/grpc"
)

// How Raft keeps time. A node that hears nothing for a second stands for election; that is long enough for a machine
// that is busy compressing.
const (
	heartbeatTimeout = time.Second
	electionTimeout  = time.Second
	leaseTimeout     = time.Second
	commitTimeout    = 50 * time.Millisecond
	proposeTimeout   = 5 * time.Second
	closeTimeout     = 2 * time.Second

	walSegmentBytes   = 16 << 20
	snapshotsKept     = 2
	snapshotThreshold = 8192
	snapshotInterval  = 30 * time.Second
	trailingLogs      = 4096
	appendEntriesMax  = 256
)

// Node is one member of the provider cluster. All methods are safe for concurrent use.
type Node struct {
	opt     Options
	log     *slog.Logger
	self    identity
	folder  folder
	address string

	lock      *os.File
	port      *port
	packs     *packs.Store
	removal   *removal
	copies    copies
	fsm       *fsm
	wal       *wal.WAL
	transport *raft.NetworkTransport
	raft      *raft.Raft
	peers     *peers
	server    *grpc.Server
	acks      *ackCache
	sending   *sending
	house     *house
	strays    *strays
	lead      *leadership

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	once   sync.Once
}

// Open starts a node on its data folder and returns when it answers its port; WaitReady tells when the cluster works.
// A new folder founds a cluster (Bootstrap), joins one (Join, in the background, until it succeeds), or waits to be
// made a member.
func Open(opt Options) (*Node, error) {
	if err := opt.complete(); err != nil {
		return nil, errors.Join(err, closeListener(opt.Listener))
	}
	n := &Node{opt: opt, log: opt.Logger.With("node", opt.Name), acks: newAckCache(), sending: newSending(), house: newHouse(), strays: newStrays()}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	if err := n.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("open node %s: %w", opt.Name, err), n.Close())
	}
	return n, nil
}

func closeListener(ln net.Listener) error {
	if ln == nil {
		return nil
	}
	return ln.Close()
}

func (n *Node) open() error {
	// The listener is ours from here on, whatever fails.
	ln := n.opt.Listener
	if ln == nil {
		var err error
		if ln, err = net.Listen("tcp", n.opt.Listen); err != nil {
			return err
		}
	}
	if err := n.openFolder(); err != nil {
		return errors.Join(err, ln.Close())
	}
	if n.address = n.opt.Advertise; n.address == "" {
		n.address = ln.Addr().String()
	}
	n.port = newPort(ln, n.opt.TLS, n.log)
	n.peers = newPeers(n.opt.TLS)
	if err := n.openContent(); err != nil {
		return err
	}
	if err := n.openRaft(); err != nil {
		return err
	}
	n.lead = startLeadership(n)
	n.serve()
	n.wg.Add(1)
	go n.enter()
	return nil
}

func (n *Node) openFolder() (err error) {
	if n.self, err = ownIdentity(n.opt.TLS, n.opt.Name); err != nil {
		return err
	}
	cluster, err := ident.ParseUUID(n.self.cluster)
	if err != nil {
		return fmt.Errorf("cluster in the node's certificate: %w", err)
	}
	if n.lock, err = lockFolder(n.opt.DataDir); err != nil {
		return err
	}
	n.folder, err = openFolder(n.opt.DataDir, n.opt.Name, ident.ClusterID{UUID: cluster})
	return err
}

func (n *Node) path(name string) string { return filepath.Join(n.opt.DataDir, name) }

func (n *Node) openContent() (err error) {
	n.packs, err = packs.Open(n.path("packs"), packs.Options{
		BytesMax: n.opt.PackBytesMax, ReserveBytes: n.opt.ReserveBytes, Logger: n.log,
	})
	if err != nil {
		return err
	}
	if n.removal, err = openRemoval(n.path("freed"), n.packs, n.log); err != nil {
		return err
	}
	n.copies, err = n.opt.copies(n)
	return err
}

func (n *Node) raftConfig() *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(n.folder.server())
	c.Logger = raftLogger(n.log)
	c.HeartbeatTimeout, c.ElectionTimeout = heartbeatTimeout, electionTimeout
	c.LeaderLeaseTimeout, c.CommitTimeout = leaseTimeout, commitTimeout
	c.SnapshotThreshold, c.SnapshotInterval, c.TrailingLogs = snapshotThreshold, snapshotInterval, trailingLogs
	c.MaxAppendEntries = appendEntriesMax
	c.BatchApplyCh = true
	c.NoLegacyTelemetry = true
	return c
}

func (n *Node) openRaft() error {
	conf := n.raftConfig()
	dir := n.path("raft/log")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	var err error
	if n.wal, err = wal.Open(dir, wal.WithSegmentSize(walSegmentBytes), wal.WithLogger(conf.Logger)); err != nil {
		return fmt.Errorf("raft log: %w", err)
	}
	snaps, err := raft.NewFileSnapshotStoreWithLogger(n.path("raft"), snapshotsKept, conf.Logger)
	if err != nil {
		return fmt.Errorf("raft snapshots: %w", err)
	}
	n.transport = raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: newRaftStream(n.port.raft, n.opt.TLS, n.address), MaxPool: 3,
		Timeout: 10 * time.Second, Logger: conf.Logger,
	})
	known, err := raft.HasExistingState(n.wal, n.wal, snaps)
	if err != nil {
		return fmt.Errorf("raft log: %w", err)
	}
	if n.opt.Bootstrap && !known {
		first := raft.Configuration{Servers: []raft.Server{{ID: conf.LocalID, Address: raft.ServerAddress(n.address)}}}
		if err := raft.BootstrapCluster(conf, n.wal, n.wal, snaps, n.transport, first); err != nil {
			return fmt.Errorf("found a cluster: %w", err)
		}
	}
	n.fsm = newFSM(newLocal(n.opt.Name, n.removal, n.copies, n.log))
	n.raft, err = raft.NewRaft(conf, n.fsm, n.wal, n.wal, snaps, n.transport)
	return err
}

// Close stops the node: calls under way end, leadership is handed over where somebody can take it, and what was
// acknowledged is on stable storage. It returns when nothing of the node runs any more.
func (n *Node) Close() error {
	var errs []error
	n.once.Do(func() { errs = n.close() })
	return errors.Join(errs...)
}

// close takes down in the reverse order of open: first no new calls, then Raft, then what Raft drives.
func (n *Node) close() []error {
	n.cancel()
	if n.raft != nil && n.raft.State() == raft.Leader && len(n.voters()) > 1 {
		n.handOver()
	}
	n.stopServing()
	n.wg.Wait()
	var errs []error
	if n.lead != nil {
		n.lead.stop()
	}
	if n.raft != nil {
		errs = append(errs, n.raft.Shutdown().Error())
	}
	if n.transport != nil {
		n.transport.CloseStreams()
		errs = append(errs, n.transport.Close())
	}
	if n.port != nil {
		errs = append(errs, ignoreClosed(n.port.close()))
	}
	if n.copies != nil {
		errs = append(errs, n.copies.Close())
	}
	if n.removal != nil {
		n.removal.close()
	}
	if n.packs != nil {
		errs = append(errs, n.packs.Close())
	}
	if n.wal != nil {
		errs = append(errs, n.wal.Close())
	}
	if n.peers != nil {
		errs = append(errs, n.peers.close())
	}
	if n.lock != nil {
		errs = append(errs, n.lock.Close())
	}
	return errs
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// handOver makes another voter the leader, if one can be. Raft gives up after its election timeout.
func (n *Node) handOver() {
	if err := n.raft.LeadershipTransfer().Error(); err != nil {
		n.log.Info("leadership was not handed over", "err", err)
	}
}

// voters lists the voting members.
func (n *Node) voters() []raft.Server {
	var l []raft.Server
	for _, s := range n.members() {
		if s.Suffrage == raft.Voter {
			l = append(l, s)
		}
	}
	return l
}

func (n *Node) members() []raft.Server {
	f := n.raft.GetConfiguration()
	if err := f.Error(); err != nil {
		return nil
	}
	return f.Configuration().Servers
}

// Address is where the node answers Raft and RPC, HOST:PORT as others reach it.
func (n *Node) Address() string { return n.address }

// Name returns the node's name.
func (n *Node) Name() string { return n.opt.Name }

// ID returns the node's server ID, which holds the UUID of its data folder.
func (n *Node) ID() string { return n.folder.server() }

// Cluster returns the cluster that the node's certificate belongs to.
func (n *Node) Cluster() ident.ClusterID { return n.folder.Cluster }

// LeaderAddress returns where the leader answers, "" while none is known.
func (n *Node) LeaderAddress() string {
	addr, _ := n.raft.LeaderWithID()
	return string(addr)
}

// Leading reports whether this node leads the cluster and is ready to.
func (n *Node) Leading() bool { return n.lead.ready() }

// Err returns why the node can not go on, nil while it can.
func (n *Node) Err() error {
	_, err := n.fsm.applied()
	return err
}

// WaitReady returns when the cluster is founded, this node is a member of it and knows its leader.
func (n *Node) WaitReady(ctx context.Context) error {
	err := n.fsm.wait(ctx, func(s *meta.State) (bool, error) {
		self, ok := s.Node(n.opt.Name)
		return !s.Cluster().IsZero() && ok && self.ID == n.ID(), nil
	})
	if err != nil {
		return fmt.Errorf("waiting until node %s is a member of the cluster: %w", n.opt.Name, err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for n.LeaderAddress() == "" {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for a leader: %w", ctx.Err())
		}
	}
	return nil
}

// TransferLeadership makes another voter the leader. It does nothing on a node that does not lead.
func (n *Node) TransferLeadership() error {
	if n.raft.State() != raft.Leader {
		return nil
	}
	return n.raft.LeadershipTransfer().Error()
}
