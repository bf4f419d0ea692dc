package admin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
)

// TestCloseWithSilentConnection: a connection on which nothing was asked does not keep the server.
func TestCloseWithSilentConnection(t *testing.T) {
	s, err := New(Options{Backend: newFake(), Journal: NewJournal(), Logger: slog.New(slog.DiscardHandler), Token: testToken, OpenReads: true})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Serve(l)
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	resp, err := http.Get("http://" + l.Addr().String() + "/healthz") // accepted after c
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // Close has no time at all for connections that live
	if err := s.Close(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("the silent connection: %d, %v, want its end", n, err)
	}
	s.silent.mu.Lock()
	defer s.silent.mu.Unlock()
	if len(s.silent.conns) != 0 {
		t.Errorf("%d silent connections are still known", len(s.silent.conns))
	}
}
