package raftstore

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"
)

// Defaults of Options.
const (
	DefaultReplicationFactor = 3
	DefaultKeepLast          = 24
)

// Options configure a Node. Name, DataDir, TLS and one of Listener and Listen are required.
type Options struct {
	Name    string // must be the name in the node's certificate
	DataDir string // made if absent; one Node at a time

	Listener  net.Listener // bare TCP; closed by the Node
	Listen    string       // HOST:PORT, used without Listener
	Advertise string       // HOST:PORT at which others reach this node; default: the listener's address

	// TLS is for both ends: Certificates holds the node's own with its identity URI, ClientCAs and RootCAs the cluster's
	// CA, ServerName the DNS name that every node's certificate carries. The Node sets the protocols and demands client
	// certificates. It is not changed.
	TLS *tls.Config

	Bootstrap bool     // found a new cluster if the folder holds none yet
	Join      []string // HOST:PORT of members to join, if the folder holds no membership yet

	ReplicationFactor int   // of a cluster founded here; default 3
	KeepLast          int   // unnamed points that new groups of a cluster founded here keep; default 24; -1: all
	PackBytesMax      int64 // limit of the wire packs kept here; 0: none
	ReserveBytes      int64 // space of the file system that packs leave free

	Logger *slog.Logger // default: discard

	copies func(*Node) (copies, error) // opens the node's copy of groups; tests replace it
	fault  func(step) error            // called at each step of a commit; tests make it fail

	strayAge       time.Duration // default strayAge
	voterGoneAfter time.Duration // default voterGoneAfter
}

// step is a place in the course of a commit where a node may die.
type step string

const (
	stepReceived  step = "commit received"
	stepStored    step = "forwarded pack stored"
	stepPut       step = "packs put"
	stepCounted   step = "acknowledgements counted"
	stepCommitted step = "committed, not answered"
)

func noFault(step) error { return nil }

var errOptions = errors.New("node options")

func (o *Options) complete() error {
	switch {
	case o.Name == "" || o.DataDir == "":
		return fmt.Errorf("%w: name is %q, data folder %q", errOptions, o.Name, o.DataDir)
	case o.Listener == nil && o.Listen == "":
		return fmt.Errorf("%w: nothing to listen on", errOptions)
	case o.Bootstrap && len(o.Join) > 0:
		return fmt.Errorf("%w: found a cluster or join one, not both", errOptions)
	case o.ReplicationFactor < 0 || o.ReplicationFactor > 15:
		return fmt.Errorf("%w: replication factor %d is not in 1..15", errOptions, o.ReplicationFactor)
	}
	if o.ReplicationFactor == 0 {
		o.ReplicationFactor = DefaultReplicationFactor
	}
	switch {
	case o.KeepLast == 0:
		o.KeepLast = DefaultKeepLast
	case o.KeepLast < 0:
		o.KeepLast = 0
	}
	if o.strayAge == 0 {
		o.strayAge = strayAge
	}
	if o.voterGoneAfter == 0 {
		o.voterGoneAfter = voterGoneAfter
	}
	if o.fault == nil {
		o.fault = noFault
	}
	if o.copies == nil {
		o.copies = openCopies
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}
