package meta

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"maps"
	"slices"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/replicate"
)

// A snapshot is snapshotMagic, then records: a varint length, and that many bytes beginning with the record's type. The
// last record is an end record, followed by the CRC-32C of all bytes before, little-endian.
const (
	snapshotMagic   = "WEIRMETA\x01"
	maxRecordBytes  = MaxCommitBytes + 1<<20
	recordCluster   = 1
	recordNode      = 2
	recordGroup     = 3 // its points follow
	recordPoint     = 4
	recordDisk      = 5
	recordEnd       = 6
	recordPin       = 32
	recordRule      = 33
	maxTimelineList = 1 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// WriteTo writes a snapshot. Equal States give equal bytes.
func (s *State) WriteTo(w io.Writer) (int64, error) {
	sum := crc32.New(castagnoli)
	buf := bufio.NewWriterSize(w, 256<<10)
	e := &recordWriter{w: io.MultiWriter(buf, sum)}
	e.write([]byte(snapshotMagic))
	s.writeRecords(e)
	e.record(recordEnd, func(*coder) {})
	if e.err == nil {
		_, e.err = buf.Write(binary.LittleEndian.AppendUint32(nil, sum.Sum32()))
	}
	if e.err == nil {
		e.err = buf.Flush()
	}
	return e.n + 4, e.err
}

func (s *State) writeRecords(e *recordWriter) {
	e.record(recordCluster, s.codeCluster)
	for _, n := range s.Nodes() {
		e.record(recordNode, n.code)
	}
	ids := slices.Collect(maps.Keys(s.groups))
	sortGroups(ids)
	for _, id := range ids {
		g := s.groups[id]
		e.record(recordGroup, g.code)
		g.points.Scan(func(kept stored) bool {
			p := g.unpack(kept)
			e.record(recordPoint, p.code)
			return e.err == nil
		})
	}
	for _, d := range s.Disks() {
		e.record(recordDisk, d.code)
	}
	for _, p := range s.Pins() {
		e.record(recordPin, p.code)
	}
	for _, id := range ids {
		if r, ok := s.rules[id]; ok {
			e.record(recordRule, (&SetRule{id, r}).code)
		}
	}
}

func (s *State) codeCluster(c *coder) {
	c.fixed(s.cluster.UUID[:])
	c.uint32(&s.replicas)
	c.uint32(&s.keepLast)
	s.deletions.code(c)
}

func (g *group) code(c *coder) {
	c.fixed(g.id.UUID[:])
	c.text(&g.name, MaxTextBytes)
	c.uvarint(&g.term)
	c.fixed(g.gateway[:])
	c.text(&g.gatewayName, MaxTextBytes)
	c.uint32(&g.keepLast)
	codeNames(c, &g.replicas)
	codeNames(c, &g.joining)
	c.uvarint(&g.placed)
	list(c, &g.timelines, maxTimelineList, 17, func(t *timeline) {
		c.fixed(t.id.UUID[:])
		end := uint64(t.end)
		c.uvarint(&end)
		t.end = ident.Seq(end)
	})
	c.uvarint(&g.numbers)
	c.uvarint(&g.released)
	g.codeNames(c)
}

func (g *group) codeNames(c *coder) {
	type named struct {
		number uint64
		name   string
	}
	var l []named
	for _, n := range slices.Sorted(maps.Keys(g.names)) {
		l = append(l, named{n, g.names[n]})
	}
	list(c, &l, MaxListItems, 2, func(n *named) {
		c.uvarint(&n.number)
		c.text(&n.name, replicate.MaxNameSize+MaxTextBytes)
	})
	if c.reading {
		g.names = make(map[uint64]string, len(l))
		for _, n := range l {
			g.names[n.number] = n.name
		}
	}
}

func (p *point) code(c *coder) {
	c.uint32(&p.timeline)
	end := uint64(p.end)
	c.uvarint(&end)
	p.end = ident.Seq(end)
	c.uvarint(&p.number)
	c.varint(&p.time)
	c.flag(&p.hidden)
	c.text(&p.commit, MaxCommitBytes)
}

type recordWriter struct {
	w   io.Writer
	c   coder
	n   int64
	err error
}

func (e *recordWriter) write(b []byte) {
	if e.err != nil {
		return
	}
	var n int
	n, e.err = e.w.Write(b)
	e.n += int64(n)
}

func (e *recordWriter) record(typ byte, code func(*coder)) {
	e.c.b = append(e.c.b[:0], typ)
	code(&e.c)
	var head [binary.MaxVarintLen64]byte
	e.write(head[:binary.PutUvarint(head[:], uint64(len(e.c.b)))])
	e.write(e.c.b)
}

// Restore reads a snapshot that WriteTo wrote. It refuses with ErrBadEncoding whatever is damaged or of another version.
func Restore(r io.Reader) (*State, error) {
	d := &recordReader{r: bufio.NewReaderSize(r, 256<<10), sum: crc32.New(castagnoli)}
	magic := make([]byte, len(snapshotMagic))
	if err := d.fill(magic); err != nil {
		return nil, err
	}
	if string(magic) != snapshotMagic {
		return nil, fmt.Errorf("%w: snapshot begins with %q, want %q", ErrBadEncoding, magic, snapshotMagic)
	}
	b := &builder{s: New()}
	for {
		typ, c, err := d.next()
		if err != nil {
			return nil, err
		}
		if typ == recordEnd {
			break
		}
		if err := b.take(typ, c); err != nil {
			return nil, err
		}
	}
	b.finish()
	return b.s, d.checkSum()
}

type recordReader struct {
	r   *bufio.Reader
	sum hash.Hash32
	buf []byte
}

// ReadByte implements io.ByteReader.
func (d *recordReader) ReadByte() (byte, error) {
	b, err := d.r.ReadByte()
	if err == nil {
		_, _ = d.sum.Write([]byte{b}) // a hash never fails
	}
	return b, err
}

func (d *recordReader) fill(p []byte) error {
	if _, err := io.ReadFull(d.r, p); err != nil {
		return fmt.Errorf("%w: snapshot is cut off: %w", ErrBadEncoding, err)
	}
	_, _ = d.sum.Write(p)
	return nil
}

func (d *recordReader) next() (byte, *coder, error) {
	n, err := binary.ReadUvarint(d)
	if err != nil || n == 0 || n > maxRecordBytes {
		return 0, nil, fmt.Errorf("%w: snapshot record of %d bytes (%v)", ErrBadEncoding, n, err)
	}
	// Grow as bytes arrive, so that a damaged length allocates no more than the file has.
	d.buf = d.buf[:0]
	for left := int(n); left > 0; {
		step := min(left, 1<<20)
		d.buf = slices.Grow(d.buf, step)[:len(d.buf)+step]
		if err := d.fill(d.buf[len(d.buf)-step:]); err != nil {
			return 0, nil, err
		}
		left -= step
	}
	return d.buf[0], &coder{b: d.buf[1:], reading: true}, nil
}

func (d *recordReader) checkSum() error {
	want := d.sum.Sum32()
	var b [4]byte
	if err := d.fill(b[:]); err != nil {
		return err
	}
	if got := binary.LittleEndian.Uint32(b[:]); got != want {
		return fmt.Errorf("%w: snapshot checksum is %08x, want %08x", ErrBadEncoding, got, want)
	}
	return nil
}

// builder puts records together again.
type builder struct {
	s *State
	g *group
}

func (b *builder) take(typ byte, c *coder) error {
	switch typ {
	case recordCluster:
		b.s.codeCluster(c)
	case recordNode:
		var n Node
		n.code(c)
		b.s.nodes[n.Name] = n
	case recordGroup:
		b.finish()
		b.g = newGroup(ident.GroupID{}, "", 0, nil)
		b.g.code(c)
		b.s.groups[b.g.id] = b.g
	case recordPoint:
		var p point
		p.code(c)
		if c.err == nil {
			if err := b.point(p); err != nil {
				return err
			}
		}
	case recordDisk:
		var d Disk
		d.code(c)
		b.s.disks[d.ID] = d
	case recordPin:
		var p Pin
		p.code(c)
		b.s.pins[p.ID] = p
	case recordRule:
		var r SetRule
		r.code(c)
		b.s.rules[r.Group] = r.Rule
	default:
		return fmt.Errorf("%w: unknown snapshot record %d", ErrBadEncoding, typ)
	}
	if c.err == nil && len(c.b) > 0 {
		c.fail("snapshot record %d is longer than its fields", typ)
	}
	return c.err
}

func (b *builder) point(p point) error {
	if b.g == nil || int(p.timeline) >= len(b.g.timelines) {
		return fmt.Errorf("%w: point %d outside a group or timeline", ErrBadEncoding, p.number)
	}
	c, err := replicate.DecodeCommit([]byte(p.commit))
	if err != nil {
		return fmt.Errorf("%w: point %d: %w", ErrBadEncoding, p.number, err)
	}
	if p.number > b.g.released {
		for _, ref := range c.Packs {
			b.s.packs[ref.ID]++
		}
	}
	if p.hidden {
		b.g.hidden++
	}
	b.g.points.Set(b.g.pack(p))
	return nil
}

// finish completes the group whose records have been read.
func (b *builder) finish() {
	if b.g == nil {
		return
	}
	if p, ok := b.g.points.Max(); ok {
		e := b.g.entry(p)
		b.g.head, b.g.headTime = e.Point, e.Time
	}
	b.g = nil
}
