package access

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	noWait   = time.Millisecond
	longWait = time.Minute
)

// seat attaches a client that detaches when it is cut off, and reports that.
type seat struct {
	*Place
	cut chan error
}

func sit(t *testing.T, table *Table, name string, c Client, readOnly bool) (*seat, error) {
	t.Helper()
	s := &seat{cut: make(chan error, 10)}
	p, err := table.Attach(context.Background(), web, name, c, readOnly, func(why error) { s.cut <- why })
	s.Place = p
	return s, err
}

func mustSit(t *testing.T, table *Table, c Client) *seat {
	t.Helper()
	s, err := sit(t, table, "web", c, false)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// obey detaches each seat once it is cut off.
func obey(seats ...*seat) (all *sync.WaitGroup) {
	all = new(sync.WaitGroup)
	for _, s := range seats {
		all.Go(func() { <-s.cut; s.Detach() })
	}
	return all
}

// A second writer is refused, whatever its door, and told what to do; connections of the first are not.
func TestOneWriter(t *testing.T) {
	one, two := initiatorAt("10.0.0.1", "iqn.2026-11.io:one", ""), initiatorAt("10.0.0.1", "iqn.2026-11.io:two", "")
	for what, tc := range map[string]struct {
		first, second Client
		refused       bool
	}{
		"connections of one address":     {nbdAt("10.0.0.1"), nbdAt("10.0.0.1"), false},
		"two addresses":                  {nbdAt("10.0.0.1"), nbdAt("10.0.0.2"), true},
		"two certificates, one address":  {nbdAt("10.0.0.1", "a"), nbdAt("10.0.0.1", "b"), true},
		"one certificate, two addresses": {nbdAt("10.0.0.1", "a"), nbdAt("10.0.0.2", "a"), true},
		"one process":                    {atSocket(7), atSocket(7), false},
		"two processes":                  {atSocket(7), atSocket(8), true},
		"socket and port":                {atSocket(7), nbdAt("127.0.0.1"), true},
		"paths of one initiator":         {one, one, false},
		"two initiators":                 {one, two, true},
		"iSCSI and NBD":                  {one, nbdAt("10.0.0.1"), true},
		"NBD and iSCSI":                  {nbdAt("10.0.0.1"), one, true},
	} {
		table := open(t, t.TempDir(), noWait)
		mustSit(t, table, tc.first)
		_, err := sit(t, table, "web", tc.second, false)
		if (err != nil) != tc.refused {
			t.Errorf("%s: %v", what, err)
		}
		if err != nil && !(strings.Contains(err.Error(), "weir session drop 1") && strings.Contains(err.Error(), "weir volume access set web --sharing on")) {
			t.Errorf("%s: the refusal does not say what to do: %v", what, err)
		}
		if _, err := sit(t, table, "web@p", tc.second, true); err != nil {
			t.Errorf("%s: a reader of a point: %v", what, err)
		}
	}
}

// A second writer gets in when the first one leaves within the time that it is waited for.
func TestWaitForWriter(t *testing.T) {
	table := open(t, t.TempDir(), longWait)
	first := mustSit(t, table, nbdAt("10.0.0.1"))
	in := make(chan error)
	go func() {
		_, err := table.Attach(context.Background(), web, "web", nbdAt("10.0.0.2"), false, func(error) {})
		in <- err
	}()
	first.Detach()
	if err := <-in; err != nil {
		t.Errorf("after the first has left: %v", err)
	}
}

func TestSharing(t *testing.T) {
	table := open(t, t.TempDir(), noWait)
	a := mustSit(t, table, nbdAt("10.0.0.1"))
	if _, err := table.Set(t.Context(), web, "web", Rules{Sharing: true}); err != nil {
		t.Fatal(err)
	}
	b := mustSit(t, table, initiatorAt("10.0.0.2", "iqn.2026-11.io:b", ""))
	if _, err := table.Set(t.Context(), web, "web", Rules{}); !errors.Is(err, ErrConflict) {
		t.Errorf("sharing taken away from two writers: %v, want ErrConflict", err)
	}
	a.Detach()
	if _, err := table.Set(t.Context(), web, "web", Rules{}); err != nil {
		t.Errorf("sharing taken away from one writer: %v", err)
	}
	if len(b.cut) != 0 {
		t.Error("the writer that may stay was cut off")
	}
}

// Changed rules cut off who may not attach any more, or not as before, and nobody else.
func TestChangedRules(t *testing.T) {
	alice := User{Name: "alice", Secret: longSecret}
	table := open(t, t.TempDir(), noWait)
	if _, err := table.Set(t.Context(), web, "web", Rules{Users: []User{alice}, Hosts: []Entry{{Name: "10.0.0.0/8"}}}); err != nil {
		t.Fatal(err)
	}
	writer := mustSit(t, table, initiatorAt("10.0.0.1", "iqn.2026-11.io:a", "alice"))
	reader, err := sit(t, table, "web@p", nbdAt("10.0.0.2"), true)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []Rules{
		{Users: []User{{Name: "alice"}}, Hosts: []Entry{{Name: "10.0.0.0/16"}}},
		{Users: []User{{Name: "alice"}, {Name: "bob", Secret: longSecret}}, Hosts: []Entry{{Name: "10.0.0.0/16"}}},
	} {
		if _, err := table.Set(t.Context(), web, "web", r); err != nil || len(writer.cut)+len(reader.cut) > 0 {
			t.Errorf("rules that let both be: %v, %d cut off", err, len(writer.cut)+len(reader.cut))
		}
	}
	for what, r := range map[string]Rules{
		"other secret": {Users: []User{{Name: "alice", Secret: longSecret + "?"}}, Hosts: []Entry{{Name: "10.0.0.0/8"}}},
		"read only":    {Users: []User{{Name: "alice", Secret: longSecret + "?", ReadOnly: true}}, Hosts: []Entry{{Name: "10.0.0.0/8"}}},
		"host gone":    {Users: []User{{Name: "alice", Secret: longSecret + "?"}}, Hosts: []Entry{{Name: "10.0.0.2"}}},
	} {
		writer.Detach()
		base := Rules{Users: []User{alice}, Hosts: []Entry{{Name: "10.0.0.0/8"}}}
		if _, err := table.Set(t.Context(), web, "web", base); err != nil {
			t.Fatal(err)
		}
		writer = mustSit(t, table, initiatorAt("10.0.0.1", "iqn.2026-11.io:a", "alice"))
		done := obey(writer)
		if _, err := table.Set(t.Context(), web, "web", r); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		done.Wait()
		if len(reader.cut) > 0 {
			t.Errorf("%s: the reader was cut off", what)
		}
	}
}

func TestRevision(t *testing.T) {
	table := open(t, t.TempDir(), noWait)
	r, err := table.Set(t.Context(), web, "web", Rules{ReadOnly: true})
	if err != nil || r.Revision != 1 {
		t.Fatal(r, err)
	}
	if _, err := table.Set(t.Context(), web, "web", Rules{Revision: 7}); !errors.Is(err, ErrConflict) {
		t.Errorf("%v, want ErrConflict", err)
	}
	if _, err := table.Set(t.Context(), web, "web", Rules{Revision: 1, Users: []User{{Name: "new"}}}); !errors.Is(err, ErrRule) {
		t.Errorf("a new user without secret: %v, want ErrRule", err)
	}
	if got := table.Rules(web); !got.ReadOnly || got.Revision != 1 {
		t.Errorf("refused changes have changed the rules: %+v", got)
	}
}

// A volume that is being deleted lets go of everybody and lets nobody in; its points stay.
func TestClose(t *testing.T) {
	table := open(t, t.TempDir(), noWait)
	w := mustSit(t, table, nbdAt("10.0.0.1"))
	p, err := sit(t, table, "web@p", nbdAt("10.0.0.1"), true)
	if err != nil {
		t.Fatal(err)
	}
	done := obey(w)
	if err := table.Close(t.Context(), web); err != nil {
		t.Fatal(err)
	}
	done.Wait()
	if len(p.cut) > 0 {
		t.Error("the reader of a point was cut off")
	}
	if _, err := sit(t, table, "web", nbdAt("10.0.0.1"), false); err == nil {
		t.Error("a client was let in")
	}
	table.Reopen(web)
	mustSit(t, table, nbdAt("10.0.0.1"))
}

func TestDrop(t *testing.T) {
	table := open(t, t.TempDir(), noWait)
	s := mustSit(t, table, nbdAt("10.0.0.1"))
	done := obey(s)
	if ok, err := table.Drop(t.Context(), s.ID, errors.New("enough")); !ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	done.Wait()
	if ok, _ := table.Drop(t.Context(), s.ID, nil); ok || len(table.Places()) != 0 {
		t.Error("a place that was given back is still there")
	}
}
