package ident

import (
	"encoding/json"
	"testing"
)

func TestPointJSON(t *testing.T) {
	want := Point{Group: GroupID{NewUUID()}, Timeline: Timeline{NewUUID()}, End: 7, Digest: Digest{1}}
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got Point
	if err := json.Unmarshal(b, &got); err != nil || got != want {
		t.Fatalf("%s: %v, %v", b, got, err)
	}
}

func TestParseUUID(t *testing.T) {
	u := NewUUID()
	if got, err := ParseUUID(u.String()); err != nil || got != u {
		t.Fatalf("%v, %v", got, err)
	}
	if u[6]>>4 != 4 || u[8]>>6 != 2 {
		t.Errorf("%s is not a version 4 UUID", u)
	}
	for _, bad := range []string{"", "x", u.String()[1:], u.String() + "0", "gggggggg-0000-4000-8000-000000000000"} {
		if _, err := ParseUUID(bad); err == nil {
			t.Errorf("%q accepted", bad)
		}
	}
	if (Point{}).String() != "origin" || !(Point{}).IsZero() {
		t.Error("the zero point is the origin")
	}
}
