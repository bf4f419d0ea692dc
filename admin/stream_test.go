package admin

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/weirstor/weir/admin/api"
)

func TestEvents(t *testing.T) {
	s, h := start(t, newFake(), true)
	c := connect(t, h, "")
	s.journal.Publish(api.Event{Level: "info", Kind: "volume.created", Text: "early"})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var texts []string
	states := 0
	err := c.Events(ctx, func(e api.Event) {
		texts = append(texts, e.Text)
		if e.Text == "early" {
			s.journal.Publish(api.Event{Level: "info", Kind: "volume.created", Text: "late"})
		}
		if len(texts) == 2 && states > 0 {
			cancel()
		}
	}, func(st api.Status) {
		states++
		if len(texts) == 2 {
			cancel()
		}
	})
	if err == nil || strings.Join(texts, " ") != "early late" || states == 0 {
		t.Errorf("events %v, %d states, %v", texts, states, err)
	}
	if body := get(t, h.URL+"/api/v1/events"); !strings.Contains(body, `"late"`) {
		t.Errorf("events as JSON: %s", body)
	}
}

func TestPageStream(t *testing.T) {
	_, h := start(t, newFake(), true)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.URL+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	sc := bufio.NewScanner(resp.Body)
	for sc.Scan() {
		if data, ok := strings.CutPrefix(sc.Text(), "data: "); ok {
			for _, id := range sections {
				if !strings.Contains(data, `"id":"`+id+`"`) {
					t.Errorf("first event lacks section %s", id)
				}
			}
			return
		}
	}
	t.Fatalf("no event: %v", sc.Err())
}

func TestJournal(t *testing.T) {
	j := NewJournal()
	_, slow, stop := j.Follow(0)
	for i := range journalKept + subscriberRoom {
		j.Publish(api.Event{Text: fmt.Sprint(i)})
	}
	if got := j.Since(0); len(got) != journalKept || got[0].Text != fmt.Sprint(subscriberRoom) {
		t.Errorf("kept %d events from %q on", len(got), got[0].Text)
	}
	if e := <-slow; e.Text != fmt.Sprint(journalKept) {
		t.Errorf("a slow reader's oldest event is %q, want %d", e.Text, journalKept)
	}
	stop()
	if got := j.Since(journalKept + subscriberRoom); got != nil {
		t.Errorf("nothing is later than the last event, got %v", got)
	}
}
