package system

import (
	"encoding/json"
	"testing"
	"time"
)

// mapped is one line of nbdinfo --map --json.
type mapped struct {
	Offset, Length int64
	Type           uint32
}

// Clients of others read our contexts: what has changed since a point, and the class of the last change.
func TestOwnContexts(t *testing.T) {
	need(t, "nbdinfo")
	ctx := testContext(t, 2*time.Minute)
	d := start(t, ctx, upSpec(t, "--volume", "v:256M"))
	c := dialNBD(t, d, "v")
	write := func(off int64, n int) {
		t.Helper()
		p := make([]byte, n)
		for i := range p {
			p[i] = byte(off>>12) + byte(i*7) + 1
		}
		if err := c.WriteAt(p, off, false); err != nil {
			t.Fatal(err)
		}
	}
	write(1<<20, 64<<10)
	weir(t, ctx, d, "snapshot", "create", "v@monday")
	write(200<<20, 8192) // in another window of the server than the first
	check := func(export, name string, want ...mapped) {
		t.Helper()
		var got []mapped
		out := run(t, ctx, "nbdinfo", "--json", "--map="+name, nbdURI(d, export))
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		at := int64(0)
		var set []mapped
		for _, m := range got {
			if m.Offset != at {
				t.Fatalf("%s: extent at %d, want %d", name, m.Offset, at)
			}
			at += m.Length
			if m.Type != 0 {
				set = append(set, m)
			}
		}
		if at != 256<<20 || len(set) != len(want) {
			t.Fatalf("%s of %s: %+v, want %+v", name, export, set, want)
		}
		for i := range want {
			if set[i] != want[i] {
				t.Errorf("%s of %s: %+v, want %+v", name, export, set[i], want[i])
			}
		}
	}
	changed := mapped{200 << 20, 8192, 1}
	check("v", "weir:dirty:monday", changed)
	waitDisks(t, ctx, d, "v")
	check("v", "weir:dirty:monday", changed)
	weir(t, ctx, d, "snapshot", "create", "v@tuesday")
	check("v@tuesday", "weir:dirty:monday", changed)
	check("v", "weir:dirty:tuesday")
	check("v", "weir:class", mapped{1 << 20, 64 << 10, 5}, mapped{200 << 20, 8192, 5})
	fails(t, ctx, "nbdinfo", "--map=weir:dirty:never", nbdURI(d, "v"))

	need(t, "nbdsh")
	wants(t, run(t, ctx, "/usr/bin/python3", "-c", `import nbd
h = nbd.NBD()
h.set_opt_mode(True)
h.connect_uri("`+nbdURI(d, "v")+`")
h.add_meta_context("weir:")
found = []
h.opt_list_meta_context(lambda name: found.append(name) or 0)
print("contexts", sorted(found))
h.clear_meta_contexts()
h.add_meta_context("weir:dirty:monday")
h.add_meta_context("weir:class")
h.opt_go()
h.block_status(4096, 200 * 1024 * 1024, lambda name, off, e, err: print(name, off, e[1]) or 0)
`), "contexts ['weir:class', 'weir:dirty:']", "weir:dirty:monday 209715200 1", "weir:class 209715200 5")
}
