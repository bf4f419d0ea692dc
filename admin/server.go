package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Options of a Server.
type Options struct {
	Backend Backend      // required
	Journal *Journal     // required
	Logger  *slog.Logger // required

	// Token is the bearer token that changing calls need; required.
	Token string
	// OpenReads lets calls that only read pass without token; set exactly when the listener is on loopback.
	OpenReads bool
	// Hosts are names that a request may give as Host besides addresses and localhost.
	Hosts []string
}

// Server is the HTTP side of admin. It holds no state of the system, only the latest status for some hundred
// milliseconds, so that many readers cost as much as one.
type Server struct {
	backend   Backend
	journal   *Journal
	log       *slog.Logger
	token     string
	openReads bool
	hosts     map[string]bool

	http   *http.Server
	ctx    context.Context // ends all streams
	cancel context.CancelFunc
	status statusCache

	serving sync.WaitGroup
	silent  silent
}

// New returns a server that Serve can be called on.
func New(opt Options) (*Server, error) {
	if opt.Backend == nil || opt.Journal == nil || opt.Logger == nil || opt.Token == "" {
		return nil, errors.New("admin: Backend, Journal, Logger and Token are required")
	}
	s := &Server{
		backend: opt.Backend, journal: opt.Journal, log: opt.Logger,
		token: opt.Token, openReads: opt.OpenReads, hosts: map[string]bool{"localhost": true},
	}
	for _, h := range opt.Hosts {
		s.hosts[h] = true
	}
	s.status.read = opt.Backend.Status
	s.ctx, s.cancel = context.WithCancel(context.Background())
	handler, err := s.handler()
	if err != nil {
		return nil, err
	}
	s.http = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		BaseContext:       func(net.Listener) context.Context { return s.ctx },
		ConnState:         s.silent.track,
		ErrorLog:          slog.NewLogLogger(opt.Logger.Handler(), slog.LevelDebug),
	}
	return s, nil
}

// Handler returns the server as an http.Handler, for tests and for serving it elsewhere.
func (s *Server) Handler() http.Handler { return s.http.Handler }

// Serve answers on l in a goroutine of its own until Close. It may be called for several listeners.
func (s *Server) Serve(l net.Listener) {
	s.serving.Add(1)
	go func() {
		defer s.serving.Done()
		if err := s.http.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("admin listener ended", "address", l.Addr().String(), "error", err)
		}
	}()
}

// Close ends the streams, lets running calls finish until ctx is done, and closes the listeners.
func (s *Server) Close(ctx context.Context) error {
	s.cancel()
	s.silent.close()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("admin: calls still run: %w", err), s.http.Close())
	}
	s.serving.Wait()
	return err
}
