package rpc

import (
	"errors"
	"fmt"
	"testing"
)

// TestErrorsCrossTheWire holds that each sentinel that is declared keeps its identity and its text.
func TestErrorsCrossTheWire(t *testing.T) {
	for _, r := range reasons {
		sent := fmt.Errorf("group g: %w: detail", r.err)
		got := FromStatus(ToStatus(sent))
		if !errors.Is(got, r.err) {
			t.Errorf("%s: came back as %v", r.reason, got)
		}
		for _, other := range reasons {
			if other.err != r.err && errors.Is(got, other.err) {
				t.Errorf("%s: is also taken for %s", r.reason, other.reason)
			}
		}
		if r.err != ErrNotLeader && got.Error() != sent.Error() {
			t.Errorf("%s: text is %q, want %q", r.reason, got, sent)
		}
	}
}

func TestNotLeaderKeepsAddress(t *testing.T) {
	got := FromStatus(ToStatus(fmt.Errorf("commit: %w", &NotLeader{Address: "127.0.0.1:7"})))
	var nl *NotLeader
	if !errors.As(got, &nl) || nl.Address != "127.0.0.1:7" {
		t.Fatalf("got %v", got)
	}
}

func TestUnknownErrorsPass(t *testing.T) {
	if err := FromStatus(ToStatus(errors.New("boom"))); err == nil || errors.Is(err, ErrUnknown) {
		t.Fatalf("got %v", err)
	}
	if ToStatus(nil) != nil || FromStatus(nil) != nil {
		t.Fatal("nil must stay nil")
	}
}
