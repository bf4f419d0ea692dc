package meta

import (
	"errors"
	"testing"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/replicate/rpc"
)

// TestMayContinue walks the histories that a gateway may come with.
func TestMayContinue(t *testing.T) {
	id := func(n byte) ident.GroupID { return ident.GroupID{UUID: ident.UUID{n}} }
	head := ident.Point{Group: id(1), Timeline: ident.Timeline{UUID: ident.UUID{9}}, End: 10}
	other := head
	other.Digest[0] = 1
	s := New()
	s.groups[id(1)] = &group{id: id(1), name: "main", gatewayName: "gw", head: head}
	s.groups[id(2)] = &group{id: id(2), name: "main", gatewayName: "gw2"}
	for name, c := range map[string]struct {
		group       ident.GroupID
		gateway     string
		known, sent ident.Point
		apart       bool
		want        error
	}{
		"knows the head":                 {group: id(1), known: head},
		"sent the head":                  {group: id(1), known: other, sent: head},
		"knows another point":            {group: id(1), known: other, want: rpc.ErrHistory},
		"sent another point":             {group: id(1), known: ident.Point{}, sent: other, want: rpc.ErrHistory},
		"knows nothing of a head":        {group: id(1), want: rpc.ErrHistory},
		"empty group, nothing known":     {group: id(2)},
		"empty group, point known":       {group: id(2), known: head, want: rpc.ErrHistory},
		"unknown group, point known":     {group: id(3), gateway: "x", known: head, want: rpc.ErrHistory},
		"new group":                      {group: id(3), gateway: "x"},
		"new group of a used name":       {group: id(3), gateway: "gw", want: rpc.ErrOtherGroup},
		"the same, apart":                {group: id(3), gateway: "gw", apart: true},
		"name of a group without points": {group: id(3), gateway: "gw2"},
	} {
		err := s.MayContinue(&OpenSession{Group: c.group, GroupName: "main", GatewayName: c.gateway}, c.known, c.sent, c.apart)
		if !errors.Is(err, c.want) || (c.want == nil) != (err == nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}
