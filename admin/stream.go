package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/weirstor/weir/admin/api"
)

const (
	streamPing    = 15 * time.Second // a comment, so that a dead reader is noticed
	statusDefault = time.Second      // between two states of /events?status
)

// stream writes server-sent events (WHATWG HTML, section 9.2). It belongs to one goroutine.
type stream struct {
	w http.ResponseWriter
	c *http.ResponseController
}

func openStream(w http.ResponseWriter) *stream {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	s := &stream{w: w, c: http.NewResponseController(w)}
	_ = s.c.Flush() // a reader that is gone is noticed by the next send
	return s
}

// send writes one event; id 0 is left out.
func (s *stream) send(kind string, id uint64, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if id != 0 {
		if _, err := fmt.Fprintf(s.w, "id: %d\n", id); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintf(s.w, "event: %s\ndata: %s\n\n", kind, b); err != nil {
		return err
	}
	return s.c.Flush()
}

func (s *stream) ping() error {
	if _, err := fmt.Fprint(s.w, ":\n\n"); err != nil {
		return err
	}
	return s.c.Flush()
}

// events is GET /api/v1/events: the journal from Last-Event-ID on, and with ?status a status at once and then every
// second (or every ?status=SECONDS, at least 0.25). Without "Accept: text/event-stream" the kept events as JSON.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	req := &request{http: r}
	seq, _ := strconv.ParseUint(r.Header.Get("Last-Event-ID"), 10, 64)
	if !req.wantsStream() {
		writeJSON(w, http.StatusOK, api.EventList{Items: list(s.journal.Since(seq))})
		return
	}
	var tick <-chan time.Time
	withStatus := r.URL.Query().Has("status")
	if withStatus {
		every, err := req.seconds("status")
		if err != nil {
			writeProblem(w, api.ProblemOf(err))
			return
		}
		if every == 0 {
			every = statusDefault
		}
		t := time.NewTicker(max(every, statusKept))
		defer t.Stop()
		tick = t.C
	}
	past, next, stop := s.journal.Follow(seq)
	defer stop()
	out := openStream(w)
	for _, e := range past {
		if out.send("event", e.Seq, e) != nil {
			return
		}
	}
	if withStatus && out.send("status", 0, s.status.get()) != nil {
		return
	}
	s.pump(r, out, next, tick)
}

// pump copies events and states to out until the reader or the server ends.
func (s *Server) pump(r *http.Request, out *stream, next <-chan api.Event, tick <-chan time.Time) {
	ping := time.NewTicker(streamPing)
	defer ping.Stop()
	for {
		var err error
		select {
		case <-r.Context().Done():
			return
		case e := <-next:
			err = out.send("event", e.Seq, e)
		case <-tick:
			err = out.send("status", 0, s.status.get())
		case <-ping.C:
			err = out.ping()
		}
		if err != nil {
			return
		}
	}
}

// long serves a long call as a stream: "progress" events, then one "result" or "problem". The call runs in a
// goroutine that ends before long returns.
func (s *Server) long(c echo.Context, r route, req *request) error {
	type outcome struct {
		v   any
		err error
	}
	progress := make(chan api.Progress, 1)
	req.report = func(p api.Progress) { replace(progress, p) }
	done := make(chan outcome, 1)
	go func() {
		var o outcome
		defer func() {
			if p := recover(); p != nil { // no middleware stands around this goroutine
				o.err = fmt.Errorf("the call failed: %v", p)
			}
			done <- o
		}()
		o.v, o.err = s.call(req.http.Context(), r, req)
	}()
	out := openStream(c.Response())
	ping := time.NewTicker(streamPing)
	defer ping.Stop()
	for {
		select {
		case p := <-progress:
			_ = out.send("progress", 0, p) // a reader that is gone ends the call through its context
		case <-ping.C:
			_ = out.ping()
		case o := <-done:
			if o.err != nil {
				_ = out.send("problem", 0, api.ProblemOf(o.err))
				return nil
			}
			_ = out.send("result", 0, o.v)
			return nil
		}
	}
}

// replace puts v into a channel of capacity one; a value that was not read yet is dropped.
func replace(c chan api.Progress, v api.Progress) {
	for {
		select {
		case c <- v:
			return
		default:
		}
		select {
		case <-c:
		default:
		}
	}
}
