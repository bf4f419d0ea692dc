package nbd

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/weirstor/weir/target"
)

func twoExports(t *testing.T, opt Options) (shelf, string) {
	e := shelf{"a": newProbe(1<<20, 512), "b": newProbe(2<<20, 4096)}
	_, addr := startServer(t, e, opt)
	return e, addr
}

func TestList(t *testing.T) {
	_, addr := twoExports(t, Options{})
	c := dial(t, addr, clientFixedNewstyle)
	list := c.mustOption(optList, nil, repAck)
	var names []string
	for _, r := range list[:len(list)-1] {
		n := binary.BigEndian.Uint32(r.data)
		names = append(names, string(r.data[4:4+n]))
		if got, want := string(r.data[4+n:]), "the device "+names[len(names)-1]; got != want {
			t.Errorf("description %q, want %q", got, want)
		}
	}
	if len(names) != 2 || names[0] == names[1] {
		t.Errorf("exports %q, want a and b", names)
	}
	c.mustOption(optList, []byte("x"), repErrInvalid)
	c.mustOption(optAbort, nil, repAck)
	c.gone()
}

func TestInfo(t *testing.T) {
	_, addr := twoExports(t, Options{})
	c := dial(t, addr, clientFixedNewstyle)
	list := c.mustOption(optInfo, infoData("b", infoName, infoDescription, infoBlockSize, 99), repAck)
	got := map[uint16][]byte{}
	for _, r := range list[:len(list)-1] {
		got[binary.BigEndian.Uint16(r.data)] = r.data[2:]
	}
	sizes := binary.BigEndian.AppendUint32(nil, 4096)
	sizes = binary.BigEndian.AppendUint32(sizes, 4096)
	sizes = binary.BigEndian.AppendUint32(sizes, MaxPayload)
	if string(got[infoName]) != "b" || string(got[infoDescription]) != "the device b" ||
		!bytes.Equal(got[infoBlockSize], sizes) || binary.BigEndian.Uint64(got[infoExport]) != 2<<20 {
		t.Errorf("information is %x", got)
	}
	want := flagHasFlags | flagSendFlush | flagSendFUA | flagSendTrim | flagSendWriteZeroes | flagCanMultiConn |
		flagSendCache | flagSendFastZero
	if flags := binary.BigEndian.Uint16(got[infoExport][8:]); flags != want {
		t.Errorf("transmission flags %#x, want %#x", flags, want)
	}
	c.begin("a", simple)
	c.mustRead(0, make([]byte, 512))
}

// TestUnknownExport: INFO and GO of a name that does not exist fail, each time, and what was asked for before is not
// served instead.
func TestUnknownExport(t *testing.T) {
	e, addr := twoExports(t, Options{})
	c := dial(t, addr, clientFixedNewstyle)
	c.mustOption(optInfo, infoData("a"), repAck)
	c.mustOption(optInfo, infoData("nope"), repErrUnknown)
	c.mustOption(optGo, infoData("nope"), repErrUnknown)
	c.mustOption(optGo, infoData(""), repErrUnknown) // there are two, so none is the default
	c.mustOption(optGo, infoData("a/../b"), repErrUnknown)
	c.begin("b", simple)
	if c.size != 2<<20 {
		t.Errorf("attached to an export of %d bytes, want b", c.size)
	}
	if p := e["a"].(*probe); p.uses.Load() != -1 {
		t.Errorf("INFO kept the device: %d releases", -p.uses.Load())
	}
}

func TestDefaultExport(t *testing.T) {
	_, addr := startServer(t, shelf{"only": newProbe(1<<20, 512)}, Options{})
	c := attach(t, addr, "", simple)
	c.mustRead(0, make([]byte, 512))
}

// TestExportName: proto.md, "NBD_OPT_EXPORT_NAME (1)".
func TestExportName(t *testing.T) {
	_, addr := twoExports(t, Options{})
	for _, flags := range []uint32{0, clientFixedNewstyle, clientFixedNewstyle | clientNoZeroes} {
		c := dial(t, addr, flags)
		c.write(append(optionHeader(optExportName, 1), 'a'))
		n := 134
		if flags&clientNoZeroes != 0 {
			n = 10
		}
		if b := c.read(n); binary.BigEndian.Uint64(b) != 1<<20 || !bytes.Equal(b[10:], make([]byte, n-10)) {
			t.Errorf("flags %d: reply is %x", flags, b)
		}
		c.mustRead(0, make([]byte, 512))
		c.write(c.header(request{cmd: cmdDisc}))
		c.gone()
	}
	c := dial(t, addr, clientFixedNewstyle)
	c.write(append(optionHeader(optExportName, 4), "nope"...))
	c.gone()
}

// TestOptionsRefused: every refused option leaves the handshake usable.
func TestOptionsRefused(t *testing.T) {
	_, addr := twoExports(t, Options{})
	tests := []struct {
		name string
		o    option
		data []byte
		want optionReply
	}{
		{"unknown option", 77, []byte("whatever it is"), repErrUnsup},
		{"peek export", 4, nil, repErrUnsup},
		{"unknown option, long", 77, make([]byte, maxOptionDrain), repErrUnsup},
		{"list with data", optList, []byte{0}, repErrInvalid},
		{"list, too long", optList, make([]byte, maxOptionData+1), repErrTooBig},
		{"info without data", optInfo, nil, repErrInvalid},
		{"info, name too long for its data", optInfo, []byte{0, 0, 0, 9, 'a', 0, 0}, repErrInvalid},
		{"info, name of 4 GiB", optInfo, []byte{0xff, 0xff, 0xff, 0xff, 'a', 0, 0}, repErrInvalid},
		{"info, requests missing", optInfo, []byte{0, 0, 0, 1, 'a', 0, 1}, repErrInvalid},
		{"info, bytes too many", optInfo, append(infoData("a"), 0), repErrInvalid},
		{"info, name with NUL", optInfo, infoData("a\x00b"), repErrInvalid},
		{"info, name not UTF-8", optInfo, infoData("a\xff"), repErrInvalid},
		{"info, long name", optInfo, infoData(strings.Repeat("a", maxString+1)), repErrInvalid},
		{"starttls", optStartTLS, nil, repErrPolicy},
		{"structured reply with data", optStructuredReply, []byte{0}, repErrInvalid},
		{"extended headers with data", optExtendedHeaders, []byte{0}, repErrInvalid},
		{"meta context without structured replies", optSetMetaContext, metaData("a", baseAllocation), repErrInvalid},
	}
	c := dial(t, addr, clientFixedNewstyle)
	for _, test := range tests {
		if got := c.option(test.o, test.data); got[len(got)-1].kind != test.want {
			t.Errorf("%s: reply %#x, want %#x", test.name, got[len(got)-1].kind, test.want)
		}
	}
	c.begin("a", simple)
	c.mustRead(0, make([]byte, 512))
}

func TestExtendedHeadersTakePrecedence(t *testing.T) {
	_, addr := twoExports(t, Options{})
	c := dial(t, addr, clientFixedNewstyle)
	c.mustOption(optStructuredReply, nil, repAck)
	c.mustOption(optExtendedHeaders, nil, repAck)
	c.mustOption(optExtendedHeaders, nil, repErrInvalid)
	c.mustOption(optStructuredReply, nil, repErrExtHeaderReqd)
	c.write(append(optionHeader(optExportName, 1), 'a'))
	c.gone()
}

// mapped has two contexts of its own.
type mapped struct {
	*probe
}

func (m mapped) Contexts() []string { return []string{"x:half", "x:of:"} }

func (m mapped) Context(name string) (Context, bool) {
	if name == "x:half" || strings.HasPrefix(name, "x:of:") {
		return halves{m.Size()}, true
	}
	return nil, false
}

// halves says 1 of the first half of a device and 2 of the second.
type halves struct{ size int64 }

func (h halves) Status(off, n int64) ([]Status, error) {
	if off < h.size/2 {
		return []Status{{Len: min(n, h.size/2-off), Flags: 1}}, nil
	}
	return []Status{{Len: n, Flags: 2}}, nil
}

func contextsOf(list []reply) map[string]uint32 {
	m := map[string]uint32{}
	for _, r := range list[:len(list)-1] {
		m[string(r.data[4:])] = binary.BigEndian.Uint32(r.data)
	}
	return m
}

func TestMetaContexts(t *testing.T) {
	dev := mapped{newProbe(16<<20, 512)}
	_, addr := startServer(t, shelf{"v": dev}, Options{})
	c := dial(t, addr, clientFixedNewstyle)
	c.agree(structured)
	lists := []struct {
		queries []string
		want    string
	}{
		{nil, "map[base:allocation:0 x:half:0 x:of::0]"},
		{[]string{"base:"}, "map[base:allocation:0]"},
		{[]string{"x:", "y:"}, "map[x:half:0 x:of::0]"},
		{[]string{"base:nope", "y:z", "no colon"}, "map[]"},
		{[]string{"x:of:1", baseAllocation, baseAllocation}, "map[base:allocation:0 x:of:1:0]"},
	}
	for _, test := range lists {
		got := contextsOf(c.mustOption(optListMetaContext, metaData("v", test.queries...), repAck))
		if fmt.Sprint(got) != test.want {
			t.Errorf("list of %q: %v, want %v", test.queries, got, test.want)
		}
	}
	c.mustOption(optListMetaContext, metaData("nope"), repErrUnknown)
	c.mustOption(optListMetaContext, metaData("v", make([]string, maxQueries+1)...), repErrTooBig)
	c.mustOption(optSetMetaContext, binary.BigEndian.AppendUint32(text(nil, "v"), 1<<31), repErrInvalid)
	got := contextsOf(c.mustOption(optSetMetaContext, metaData("v", "x:half", "x:", "base:", baseAllocation), repAck))
	if fmt.Sprint(got) != "map[base:allocation:2 x:half:1]" {
		t.Errorf("selected %v", got)
	}
}

func TestBlockStatus(t *testing.T) {
	const m = 1 << 20
	for name, form := range map[string]style{"structured": structured, "extended": extended} {
		t.Run(name, func(t *testing.T) {
			dev := mapped{newProbe(16*m, 512)}
			dev.holes = []target.Extent{
				{Off: 0, Len: 4 * m, Kind: target.Hole}, {Off: 4 * m, Len: m, Kind: target.Zero},
				{Off: 5 * m, Len: 3 * m, Kind: target.Data}, {Off: 8 * m, Len: 8 * m, Kind: target.Hole},
			}
			_, addr := startServer(t, shelf{"v": dev}, Options{})
			c := dial(t, addr, clientFixedNewstyle)
			c.agree(form)
			c.mustOption(optSetMetaContext, metaData("v", baseAllocation, "x:half"), repAck)
			c.begin("v", simple)
			c.form = form
			res := c.mustCall(0, cmdBlockStatus, 0, m, 15*m, nil)
			want := map[uint32][]extent{
				1: {{3 * m, 3}, {m, 2}, {3 * m, 0}, {8 * m, 3}},
				2: {{7 * m, 1}, {8 * m, 2}},
			}
			if fmt.Sprint(res.status) != fmt.Sprint(want) {
				t.Errorf("status %v, want %v", res.status, want)
			}
			res = c.mustCall(0, cmdBlockStatus, cmdFlagReqOne, m, 15*m, nil)
			want = map[uint32][]extent{1: {{3 * m, 3}}, 2: {{7 * m, 1}}}
			if fmt.Sprint(res.status) != fmt.Sprint(want) {
				t.Errorf("status of one extent %v, want %v", res.status, want)
			}
			c.mustCall(eINVAL, cmdBlockStatus, 0, 16*m, 512, nil)
			c.mustCall(eINVAL, cmdBlockStatus, 0, 0, 0, nil)
			if form == extended {
				blockStatusPayload(t, c)
			}
			dev.setFail("extents", target.ErrIO)
			c.mustCall(eIO, cmdBlockStatus, 0, 0, m, nil)
		})
	}
}

// blockStatusPayload: ext-header, "NBD_CMD_BLOCK_STATUS": the payload names the contexts.
func blockStatusPayload(t *testing.T, c *client) {
	if c.flags&flagBlockStatusPayload == 0 {
		t.Errorf("transmission flags %#x lack BLOCK_STATUS_PAYLOAD", c.flags)
	}
	query := func(n uint64, ids ...uint32) []byte {
		b := binary.BigEndian.AppendUint64(nil, n)
		for _, id := range ids {
			b = binary.BigEndian.AppendUint32(b, id)
		}
		return b
	}
	p := query(4096, 2)
	res := c.mustCall(0, cmdBlockStatus, 0, 0, uint64(len(p)), p)
	if want := map[uint32][]extent{2: {{4096, 1}}}; fmt.Sprint(res.status) != fmt.Sprint(want) {
		t.Errorf("status %v, want %v", res.status, want)
	}
	for _, p := range [][]byte{query(4096), query(4096, 3), query(4096, 1, 1), query(4096, 0), query(1<<40, 1),
		make([]byte, 13), make([]byte, maxStatusPayload+4)} {
		c.mustCall(eINVAL, cmdBlockStatus, 0, 0, uint64(len(p)), p)
	}
	c.mustCall(eINVAL, cmdTrim, cmdFlagPayloadLen, 0, 512, make([]byte, 512))
	c.mustCall(eINVAL, cmdWrite, 0, 0, 512, nil) // without the payload flag there is no payload
}

// TestContextsBelongToAnExport: proto.md, "NBD_OPT_SET_META_CONTEXT (10)".
func TestContextsBelongToAnExport(t *testing.T) {
	_, addr := twoExports(t, Options{})
	c := dial(t, addr, clientFixedNewstyle)
	c.agree(structured)
	c.mustOption(optSetMetaContext, metaData("a", baseAllocation), repAck)
	c.begin("b", simple)
	c.form = structured
	c.mustCall(eINVAL, cmdBlockStatus, 0, 0, 4096, nil)

	c = dial(t, addr, clientFixedNewstyle)
	c.agree(structured)
	c.mustOption(optSetMetaContext, metaData("a", baseAllocation), repAck)
	c.mustOption(optSetMetaContext, metaData("nope", baseAllocation), repErrUnknown) // replaces, even though it fails
	c.begin("a", simple)
	c.form = structured
	c.mustCall(eINVAL, cmdBlockStatus, 0, 0, 4096, nil)
}

func TestAuthorize(t *testing.T) {
	_, addr := twoExports(t, Options{Authorize: func(p Peer, e ExportInfo) (Access, error) {
		if p.Addr == nil || p.TLS != nil || e.Name == "b" {
			return Access{}, fmt.Errorf("%v may not use %s", p.Addr, e.Name)
		}
		return Access{ReadOnly: true}, nil
	}})
	c := dial(t, addr, clientFixedNewstyle)
	if list := c.mustOption(optList, nil, repAck); len(list) != 2 {
		t.Errorf("%d replies, want one export and the end", len(list))
	}
	c.mustOption(optInfo, infoData("b"), repErrPolicy)
	c.mustOption(optGo, infoData("b"), repErrPolicy)
	c.begin("a", simple)
	c.mustCall(ePERM, cmdWrite, 0, 0, 512, make([]byte, 512))
}

// TestGrowth: a connection keeps the size that it was told; the next one sees the new size.
func TestGrowth(t *testing.T) {
	e := shelf{"v": newProbe(1<<20, 512)}
	dev := &growing{probe: newProbe(2<<20, 512)}
	dev.size.Store(1 << 20)
	e["v"] = dev
	_, addr := startServer(t, e, Options{})
	before := attach(t, addr, "v", simple)
	dev.size.Store(2 << 20)
	before.mustCall(eNOSPC, cmdWrite, 0, 1<<20, 512, make([]byte, 512))
	after := attach(t, addr, "v", simple)
	after.mustWrite(1<<20, make([]byte, 512))
	if before.size != 1<<20 || after.size != 2<<20 {
		t.Errorf("sizes %d and %d", before.size, after.size)
	}
}

type growing struct {
	*probe
	size atomic.Int64
}

func (g *growing) Size() int64 { return g.size.Load() }
