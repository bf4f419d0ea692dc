package classify

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// ReadMap looks at the content of a volume of size bytes and returns what it understands of it. Structures that make
// no sense only lower the knowledge; the error is that of a read of r. Reads, memory and time are bounded by the
// number of block groups that size has room for.
func ReadMap(r View, size int64) (*Map, error) {
	b := &builder{size: size}
	ok, err := readExt4(r, b, 0, size)
	if err != nil {
		return nil, fmt.Errorf("file system of the whole volume: %w", err)
	}
	if ok {
		return b.build("ext4"), nil
	}
	table, parts, err := readPartitions(r, b, size)
	if err != nil {
		return nil, fmt.Errorf("partition table: %w", err)
	}
	for _, p := range parts {
		ok, err := readExt4(r, b, p.off, p.len)
		if err != nil {
			return nil, fmt.Errorf("file system of the partition at %d: %w", p.off, err)
		}
		if ok {
			b.names = append(b.names, "ext4")
		}
	}
	if table != "" && len(b.names) > 0 {
		table += ": "
	}
	return b.build(table + strings.Join(b.names, ", ")), nil
}

func le16(b []byte, at int) uint16 { return binary.LittleEndian.Uint16(b[at:]) }
func le32(b []byte, at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
func le64(b []byte, at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
