package client

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/weirstor/weir/admin/api"
)

// answering returns a client of a server that answers every call with status, type and body.
func answering(t *testing.T, status int, kind, body string) *Client {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	c, err := New(Options{Address: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestStrangeAnswers(t *testing.T) {
	for _, tc := range []struct {
		name   string
		status int
		body   string
		want   error
	}{
		{"not JSON", 200, "<html>", api.ErrInternal},
		{"error without problem", 502, "bad gateway", api.ErrInternal},
		{"problem", 404, `{"type":"urn:weir:problem:not-found","title":"not found","status":404}`, api.ErrNotFound},
		{"unknown problem", 418, `{"type":"about:blank","title":"teapot","status":418}`, api.ErrInternal},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := answering(t, tc.status, "application/json", tc.body)
			if _, err := c.Status(t.Context()); !errors.Is(err, tc.want) {
				t.Errorf("%v, want %v", err, tc.want)
			}
		})
	}
}

func TestStreams(t *testing.T) {
	for _, tc := range []struct {
		name, body string
		want       error
	}{
		{"result", ": ping\n\nevent: progress\ndata: {\"done\":1}\n\nevent: result\ndata: {\"committed\":true}\n\n", nil},
		{"problem", "event: problem\ndata: {\"type\":\"urn:weir:problem:conflict\",\"title\":\"conflict\",\"status\":409}\n\n", api.ErrConflict},
		{"cut off", "event: progress\ndata: {}\n\n", api.ErrUnavailable},
		{"cut off in an event", "event: result\ndata: {\"committed\":true}\n", api.ErrUnavailable},
		{"empty", "", api.ErrUnavailable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := answering(t, 200, "text/event-stream", tc.body)
			reports := 0
			r, err := c.Wait(t.Context(), "v", 0, func(api.Progress) { reports++ })
			if !errors.Is(err, tc.want) || err == nil && (!r.Committed || reports != 1) {
				t.Errorf("%+v after %d reports, %v, want %v", r, reports, err, tc.want)
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	for in, want := range map[string]string{
		"": "http://" + DefaultAddress, "127.0.0.1:1": "http://127.0.0.1:1", "https://h:2/": "https://h:2",
	} {
		c, err := New(Options{Address: in})
		if err != nil || c.Address() != want {
			t.Errorf("%q becomes %q, %v; want %q", in, c.Address(), err, want)
		}
	}
	if _, err := New(Options{Address: "http://"}); !errors.Is(err, api.ErrInvalid) {
		t.Errorf("address without host: %v", err)
	}
	if _, err := New(Options{Certificate: []byte("no")}); !errors.Is(err, api.ErrInvalid) {
		t.Errorf("certificate that is none: %v", err)
	}
	c, err := New(Options{Address: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Status(t.Context()); !errors.Is(err, api.ErrUnavailable) || !strings.Contains(adviceOf(err), "weir up") {
		t.Errorf("nobody there: %v", err)
	}
}

func adviceOf(err error) string {
	var a interface{ Action() string }
	if errors.As(err, &a) {
		return a.Action()
	}
	return ""
}

func FuzzStream(f *testing.F) {
	f.Add("event: result\ndata: {}\n\n")
	f.Add(":\n\ndata\n\n")
	f.Fuzz(func(_ *testing.T, s string) {
		_ = readStream(strings.NewReader(s), func(string, []byte) (bool, error) { return false, nil })
	})
}
