package leaf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
)

// TableFile is what a Table is kept in.
type TableFile interface {
	io.ReaderAt
	io.WriterAt
	Datasync() error
	// Punch makes [off, off+n) read as zeroes.
	Punch(off, n int64) error
	// NextData returns the first offset from off on that may hold anything but zeroes; io.EOF when there is none.
	NextData(off int64) (int64, error)
}

// Layout of a table file: a page of header, then EntryBytes for each block, little-endian: the leaf
// of the block, a short last block counting as filled up with zeroes. 0, which is also what the file does not have,
// stands for the default that the header names.
const (
	TableHeaderBytes = 4096
	EntryBytes       = 8
	tableMagic       = "WEIRLEAF"
	TableVersion     = 1

	offTableVersion = 8
	offTableCRC     = 12
	offTableDefault = 16

	storedZero = ^uint64(0)     // the block is all zero
	storedBad  = ^uint64(0) - 1 // see Bad
	storedMax  = ^uint64(0) - 2 // any leaf from here on is stored as this
)

// ErrTable: the file is not a leaf table, or not one that this version reads.
var ErrTable = errors.New("not a leaf table")

// Table keeps the leaves of one volume's base: what each block held when it was last written or first read. Methods are
// safe for concurrent use as far as the file is; two calls for the same block must be ordered by the caller.
type Table struct {
	file      TableFile
	zeroKnown bool // an entry that was never set is a block of zeroes, not an unknown one
}

// CreateTable writes the header of a new table. zeroKnown says that every block is zero so far. Durable on return.
func CreateTable(f TableFile, zeroKnown bool) (*Table, error) {
	b := make([]byte, TableHeaderBytes)
	copy(b, tableMagic)
	binary.LittleEndian.PutUint32(b[offTableVersion:], TableVersion)
	if zeroKnown {
		b[offTableDefault] = 1
	}
	binary.LittleEndian.PutUint32(b[offTableCRC:], tableCRC(b))
	if _, err := f.WriteAt(b, 0); err != nil {
		return nil, fmt.Errorf("leaf table: %w", err)
	}
	if err := f.Datasync(); err != nil {
		return nil, fmt.Errorf("leaf table: %w", err)
	}
	return &Table{file: f, zeroKnown: zeroKnown}, nil
}

// OpenTable reads the header of a table.
func OpenTable(f TableFile) (*Table, error) {
	b := make([]byte, TableHeaderBytes)
	if n, err := f.ReadAt(b, 0); err != nil {
		return nil, fmt.Errorf("%w: %d bytes of header: %w", ErrTable, n, err)
	}
	if string(b[:len(tableMagic)]) != tableMagic {
		return nil, fmt.Errorf("%w: it begins with %q", ErrTable, b[:len(tableMagic)])
	}
	if v := binary.LittleEndian.Uint32(b[offTableVersion:]); v != TableVersion {
		return nil, fmt.Errorf("%w: format %d, this one knows %d", ErrTable, v, TableVersion)
	}
	if want, got := binary.LittleEndian.Uint32(b[offTableCRC:]), tableCRC(b); want != got {
		return nil, fmt.Errorf("%w: header checksum %08x, want %08x", ErrTable, got, want)
	}
	return &Table{file: f, zeroKnown: b[offTableDefault] == 1}, nil
}

// tableCRC covers the header, the field itself taken as zero.
func tableCRC(b []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	c := crc32.Update(crc32.Checksum(b[:offTableCRC], table), table, []byte{0, 0, 0, 0})
	return crc32.Update(c, table, b[offTableCRC+4:TableHeaderBytes])
}

// pagePool spares an allocation for each call.
var pagePool = sync.Pool{New: func() any { return new([TableHeaderBytes]byte) }}

// Bad, given to Store, marks a block of which damaged bytes are left: nothing matches it until all of the block is
// written anew.
const Bad = Leaf(storedBad)

// store is l as the file has it; never 0.
func store(l Leaf) uint64 {
	if l == 0 {
		return storedZero
	}
	return min(uint64(l), storedMax)
}

// Matches reports whether l may be what entry e, as Load gives it, stands for.
func (e Entry) Matches(l Leaf) bool { return !e.Known || e.stored == store(l) }

// Bad reports whether the block was marked with Bad.
func (e Entry) Bad() bool { return e.stored == storedBad }

// Entry is what a table knows of one block.
type Entry struct {
	Known  bool // it was stored, or the table says what a block has that has no entry
	set    bool // it was stored
	stored uint64
}

// Set reports whether the entry was stored.
func (e Entry) Set() bool { return e.set }

// Load fills entries with those of the blocks from index on.
func (t *Table) Load(entries []Entry, index int64) error {
	page := pagePool.Get().(*[TableHeaderBytes]byte)
	defer pagePool.Put(page)
	for len(entries) > 0 {
		n := min(len(entries), len(page)/EntryBytes)
		b := page[:n*EntryBytes]
		got, err := t.file.ReadAt(b, TableHeaderBytes+index*EntryBytes)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("leaf table at block %d: %w", index, err)
		}
		clear(b[got:])
		for i := range entries[:n] {
			entries[i] = t.entry(binary.LittleEndian.Uint64(b[i*EntryBytes:]))
		}
		entries, index = entries[n:], index+int64(n)
	}
	return nil
}

func (t *Table) entry(stored uint64) Entry {
	if stored != 0 {
		return Entry{Known: true, set: true, stored: stored}
	}
	return Entry{Known: t.zeroKnown, stored: storedZero}
}

// Store sets the leaves of the blocks from index on. Durable after Sync.
func (t *Table) Store(leaves []Leaf, index int64) error {
	page := pagePool.Get().(*[TableHeaderBytes]byte)
	defer pagePool.Put(page)
	for len(leaves) > 0 {
		n := min(len(leaves), len(page)/EntryBytes)
		for i, l := range leaves[:n] {
			stored := store(l)
			if l == Bad {
				stored = storedBad
			}
			binary.LittleEndian.PutUint64(page[i*EntryBytes:], stored)
		}
		if _, err := t.file.WriteAt(page[:n*EntryBytes], TableHeaderBytes+index*EntryBytes); err != nil {
			return fmt.Errorf("leaf table at block %d: %w", index, err)
		}
		leaves, index = leaves[n:], index+int64(n)
	}
	return nil
}

// StoreZero says that n blocks from index on are all zero. Durable after Sync.
func (t *Table) StoreZero(index, n int64) error {
	if t.zeroKnown {
		if err := t.file.Punch(TableHeaderBytes+index*EntryBytes, n*EntryBytes); err != nil {
			return fmt.Errorf("leaf table at block %d: %w", index, err)
		}
		return nil
	}
	var zeroes [256]Leaf
	for ; n > 0; index, n = index+int64(len(zeroes)), n-int64(len(zeroes)) {
		if err := t.Store(zeroes[:min(n, int64(len(zeroes)))], index); err != nil {
			return err
		}
	}
	return nil
}

// Scan calls fn for every block below end whose entry was stored, in order, until fn returns false.
func (t *Table) Scan(end int64, fn func(index int64, e Entry) bool) error {
	var entries [TableHeaderBytes / EntryBytes]Entry
	for index := int64(0); index < end; {
		off, err := t.file.NextData(TableHeaderBytes + index*EntryBytes)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("leaf table at block %d: %w", index, err)
		}
		index = max(index, (off-TableHeaderBytes)/EntryBytes)
		n := max(0, min(int64(len(entries)), end-index))
		if err := t.Load(entries[:n], index); err != nil {
			return err
		}
		for i, e := range entries[:n] {
			if e.set && !fn(index+int64(i), e) {
				return nil
			}
		}
		index += n
	}
	return nil
}

// Sync makes what was stored durable.
func (t *Table) Sync() error { return t.file.Datasync() }
