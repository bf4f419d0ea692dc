package layout

import (
	"strconv"
	"strings"
)

// lvmVG is a volume group as one of its physical volumes sees it.
type lvmVG struct {
	name     string
	extent   int64 // bytes
	peStart  int64 // bytes at which the first physical extent begins
	self     string
	volumes  []lvmLV
	segments int // seen so far
}

// lvmLV is a logical volume all of whose segments are linear and lie on this physical volume.
type lvmLV struct {
	name string
	segs []lvmSegment
}

type lvmSegment struct{ in, n, out int64 } // extents

// place returns the segments in bytes of the physical volume.
func (vg *lvmVG) place(lv lvmLV) []segment {
	var out []segment
	for _, s := range lv.segs {
		out = append(out, segment{s.in * vg.extent, s.n * vg.extent, vg.peStart + s.out*vg.extent})
	}
	return out
}

// parseVG reads a group's text metadata. A logical volume that is not wholly on the physical volume with this UUID, or
// not linear, is left out; text that makes no sense yields an empty group.
func parseVG(text []byte, uuid string) *lvmVG {
	root := parseLVM(string(text))
	vg := &lvmVG{}
	for _, n := range root.sections {
		if n.section("physical_volumes") == nil {
			continue
		}
		vg.name = n.name
		vg.extent = n.number("extent_size") * 512
		for _, pv := range n.section("physical_volumes").sections {
			if strings.ReplaceAll(pv.text("id"), "-", "") == uuid {
				vg.self, vg.peStart = pv.name, pv.number("pe_start")*512
			}
		}
		if vg.self == "" || vg.extent <= 0 || vg.extent > 1<<40 || vg.peStart < 0 {
			return vg
		}
		if lvs := n.section("logical_volumes"); lvs != nil {
			for _, lv := range lvs.sections {
				vg.addLV(lv)
			}
		}
	}
	return vg
}

// addLV adds a logical volume if it is plain.
func (vg *lvmVG) addLV(n *lvmNode) {
	lv := lvmLV{name: n.name}
	for _, s := range n.sections {
		list := s.lists["stripes"]
		vg.segments++
		if s.text("type") != "striped" || s.number("stripe_count") != 1 || len(list) != 2 || list[0] != vg.self || vg.segments > maxLVMSegments {
			return
		}
		out, err := strconv.ParseInt(list[1], 10, 64)
		seg := lvmSegment{s.number("start_extent"), s.number("extent_count"), out}
		room := int64(1<<61) / vg.extent
		if err != nil || out < 0 || seg.in < 0 || seg.n <= 0 || out > room || seg.in > room || seg.n > room {
			return
		}
		lv.segs = append(lv.segs, seg)
	}
	if len(lv.segs) > 0 {
		vg.volumes = append(vg.volumes, lv)
	}
}

// lvmNode is a section of LVM's text format: name { key = value … subsections }.
type lvmNode struct {
	name     string
	values   map[string]string
	lists    map[string][]string
	sections []*lvmNode
}

func (n *lvmNode) section(name string) *lvmNode {
	for _, s := range n.sections {
		if s.name == name {
			return s
		}
	}
	return nil
}

func (n *lvmNode) text(key string) string { return n.values[key] }

// number returns -1 for what is not a number.
func (n *lvmNode) number(key string) int64 {
	v, err := strconv.ParseInt(n.values[key], 10, 64)
	if err != nil {
		return -1
	}
	return v
}

// maxLVMDepth bounds nested sections.
const maxLVMDepth = 16

// parseLVM reads as much of a text as makes sense.
func parseLVM(text string) *lvmNode {
	t := &lvmTokens{text: text}
	return t.section("", 0)
}

// lvmTokens splits the text: words, quoted strings, and the signs { } [ ] = ,
type lvmTokens struct {
	text string
	at   int
}

// next returns the next token, "" at the end. A quoted string comes without quotes and is told by quoted.
func (t *lvmTokens) next() (token string, quoted bool) {
	t.skip()
	if t.at >= len(t.text) {
		return "", false
	}
	switch c := t.text[t.at]; {
	case c == '"':
		return t.quoted(), true
	case strings.IndexByte("{}[]=,", c) >= 0:
		t.at++
		return string(c), false
	}
	start := t.at
	for t.at < len(t.text) && strings.IndexByte("{}[]=,#\" \t\r\n\x00", t.text[t.at]) < 0 {
		t.at++
	}
	if t.at == start {
		t.at = len(t.text) // a byte that belongs nowhere ends the text
		return "", false
	}
	return t.text[start:t.at], false
}

// skip passes white space and comments.
func (t *lvmTokens) skip() {
	for t.at < len(t.text) {
		switch c := t.text[t.at]; {
		case c == '#':
			end := strings.IndexByte(t.text[t.at:], '\n')
			if end < 0 {
				t.at = len(t.text)
				return
			}
			t.at += end
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			t.at++
		default:
			return
		}
	}
}

func (t *lvmTokens) quoted() string {
	t.at++
	var out strings.Builder
	for t.at < len(t.text) && t.text[t.at] != '"' {
		if t.text[t.at] == '\\' && t.at+1 < len(t.text) {
			t.at++
		}
		out.WriteByte(t.text[t.at])
		t.at++
	}
	t.at++
	return out.String()
}

// section reads up to the closing brace.
func (t *lvmTokens) section(name string, depth int) *lvmNode {
	n := &lvmNode{name: name, values: map[string]string{}, lists: map[string][]string{}}
	for {
		key, quoted := t.next()
		if key == "" && !quoted || key == "}" || depth > maxLVMDepth {
			return n
		}
		switch sign, _ := t.next(); sign {
		case "{":
			n.sections = append(n.sections, t.section(key, depth+1))
		case "=":
			v, quoted := t.next()
			if v == "[" && !quoted {
				n.lists[key] = t.list()
			} else {
				n.values[key] = v
			}
		default:
			return n
		}
	}
}

func (t *lvmTokens) list() []string {
	var out []string
	for {
		v, quoted := t.next()
		switch {
		case v == "]" && !quoted, v == "" && !quoted:
			return out
		case v == "," && !quoted:
		default:
			out = append(out, v)
		}
	}
}
