package raftstore

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"

	"github.com/hashicorp/go-hclog"
)

// raftLogger returns a logger for hashicorp/raft that writes to log.
func raftLogger(log *slog.Logger) hclog.Logger {
	l := hclog.NewInterceptLogger(&hclog.LoggerOptions{Output: io.Discard, Level: hclog.Debug})
	l.RegisterSink(slogSink{log})
	return l
}

type slogSink struct{ log *slog.Logger }

// Accept implements hclog.SinkAdapter. Raft speaks of every election and every peer out of reach; that is debug detail
// here, errors are warnings: what must be known of them reaches callers as errors. That a connection ends which this node
// has closed is no error.
func (s slogSink) Accept(_ string, level hclog.Level, msg string, args ...any) {
	to := slog.LevelDebug
	if level >= hclog.Error && !closedByUs(args) {
		to = slog.LevelWarn
	}
	s.log.Log(context.Background(), to, "raft: "+msg, args...)
}

// closedByUs reports whether what is logged comes from the end of a connection of our own making.
func closedByUs(args []any) bool {
	for _, a := range args {
		if err, ok := a.(error); ok && errors.Is(err, net.ErrClosed) {
			return true
		}
	}
	return false
}
