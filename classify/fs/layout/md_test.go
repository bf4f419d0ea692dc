package layout

import (
	"encoding/binary"
	"os"
	"testing"

	"github.com/weirstor/weir/classify/fs/fstest"
)

// mdMember is a member of an array: a superblock of version 1 at a byte offset, data at another.
func mdMember(size, at, data int64, level int32, content []byte) []byte {
	b := make([]byte, size)
	sb, le := b[at:], binary.LittleEndian
	le.PutUint32(sb, mdMagic)
	le.PutUint32(sb[4:], 1)
	le.PutUint32(sb[72:], uint32(level))
	le.PutUint32(sb[92:], 2)
	le.PutUint64(sb[128:], uint64(data/512))
	le.PutUint64(sb[136:], uint64((size-data-64<<10)/512))
	le.PutUint64(sb[144:], uint64(at/512))
	copy(b[data:], content)
	return b
}

type bytesView []byte

func (v bytesView) ReadAt(p []byte, off int64) error {
	clear(p)
	if off < int64(len(v)) {
		copy(p, v[off:])
	}
	return nil
}

// TestMD has a file system on members of arrays with each place that the superblock may have.
func TestMD(t *testing.T) {
	path := fstest.Empty(t, 8<<20)
	fstest.Tool(t, "e2fsprogs", "mkfs.ext4", "-q", "-F", path)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const size = 10 << 20
	for _, c := range []struct {
		name     string
		at, data int64
		level    int32
		want     string
	}{
		{"1.2", 4096, 1 << 20, 1, "md: ext4"},
		{"1.1", 0, 1 << 20, 1, "md: ext4"},
		{"1.0", (size/512 - 16) &^ 7 * 512, 0, 1, "ext4"}, // the data comes first and is found without the superblock
		{"striped", 4096, 1 << 20, 5, ""},
		{"linear of two", 4096, 1 << 20, -1, ""},
	} {
		l, err := Find(bytesView(mdMember(size, c.at, c.data, c.level, content)), size, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		if l.Name() != c.want {
			t.Errorf("%s: found %q, want %q", c.name, l.Name(), c.want)
		}
	}
}
