package layout

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/weirstor/weir/classify/fs"
)

// Bounds of what is read of a partition table.
const (
	maxPartitions  = 128
	maxGPTEntries  = 1024
	maxGPTEntry    = 4096
	gptHeaderBytes = 92
)

// partition is a byte range of the device that the table is on.
type partition struct {
	off, len int64
	number   int // as the kernel counts them
}

// readPartitions finds GPT (UEFI specification 2.10, section 5.3) and MBR (section 5.2) partitions, and names the
// table; with neither it returns "".
func readPartitions(r fs.View, size int64, add func(off, n int64, kind fs.Region)) (string, []partition, error) {
	var mbr [512]byte
	if err := r.ReadAt(mbr[:], 0); err != nil {
		return "", nil, err
	}
	if mbr[510] != 0x55 || mbr[511] != 0xaa {
		return "", nil, nil
	}
	for _, sector := range []int64{512, 4096} {
		parts, err := readGPT(r, size, sector, add)
		if err != nil || parts != nil {
			return "gpt", parts, err
		}
	}
	parts, err := readMBR(r, size, mbr[:], add)
	if err != nil || parts == nil {
		return "", nil, err
	}
	return "mbr", parts, nil
}

// readGPT reads the primary table of a volume with the given sector size, or nothing if it is not sound.
func readGPT(r fs.View, size, sector int64, add func(off, n int64, kind fs.Region)) ([]partition, error) {
	var h [gptHeaderBytes]byte
	if err := r.ReadAt(h[:], sector); err != nil {
		return nil, err
	}
	if string(h[:8]) != "EFI PART" || le32(h[:], 12) != gptHeaderBytes {
		return nil, nil
	}
	sum := le32(h[:], 16)
	copy(h[16:20], []byte{0, 0, 0, 0})
	if crc32.ChecksumIEEE(h[:]) != sum {
		return nil, nil
	}
	at, n, each := le64(h[:], 72), int64(le32(h[:], 80)), int64(le32(h[:], 84))
	if at > uint64(size/sector) || each < 128 || each > maxGPTEntry || n > maxGPTEntries {
		return nil, nil
	}
	entries := make([]byte, n*each)
	if err := r.ReadAt(entries, int64(at)*sector); err != nil {
		return nil, err
	}
	add(0, 2*sector, fs.PartitionTable)
	add(int64(at)*sector, n*each, fs.PartitionTable)
	add((size/sector-1)*sector, sector, fs.PartitionTable)
	parts := []partition{}
	for number := 1; len(entries) > 0; entries, number = entries[each:], number+1 {
		first, last := le64(entries, 32), le64(entries, 40)
		if [16]byte(entries[:16]) != ([16]byte{}) && first > 0 && first <= last {
			parts = appendPartition(parts, number, first, last-first+1, sector, size)
		}
	}
	return parts, nil
}

// readMBR reads the four primary partitions and the chain of logical ones.
func readMBR(r fs.View, size int64, mbr []byte, add func(off, n int64, kind fs.Region)) ([]partition, error) {
	var parts []partition
	for i := range 4 {
		kind, first, n := mbrEntry(mbr, i)
		if kind == 0 || first == 0 || n == 0 {
			continue
		}
		if !isExtended(kind) {
			parts = appendPartition(parts, i+1, first, n, 512, size)
			continue
		}
		var err error
		if parts, err = readLogical(r, size, first, parts, add); err != nil {
			return nil, err
		}
	}
	if parts != nil {
		add(0, 512, fs.PartitionTable)
	}
	return parts, nil
}

// readLogical follows the chain of extended boot records that begins at sector base.
func readLogical(r fs.View, size int64, base uint64, parts []partition, add func(off, n int64, kind fs.Region)) ([]partition, error) {
	var ebr [512]byte
	for at, i := base, 0; i < maxPartitions && at < uint64(size/512); i++ {
		if err := r.ReadAt(ebr[:], int64(at)*512); err != nil {
			return nil, err
		}
		if ebr[510] != 0x55 || ebr[511] != 0xaa {
			break
		}
		add(int64(at)*512, 512, fs.PartitionTable)
		if kind, first, n := mbrEntry(ebr[:], 0); kind != 0 && n != 0 {
			parts = appendPartition(parts, 5+i, at+first, n, 512, size)
		}
		kind, next, _ := mbrEntry(ebr[:], 1)
		if !isExtended(kind) || next == 0 || base+next <= at {
			break
		}
		at = base + next
	}
	return parts, nil
}

func mbrEntry(mbr []byte, i int) (kind byte, first, n uint64) {
	e := mbr[446+16*i:]
	return e[4], uint64(le32(e, 8)), uint64(le32(e, 12))
}

func isExtended(kind byte) bool { return kind == 0x05 || kind == 0x0f || kind == 0x85 }

// appendPartition adds n sectors from first, cut to the volume.
func appendPartition(parts []partition, number int, first, n uint64, sector, size int64) []partition {
	sectors := uint64(size / sector)
	if len(parts) >= maxPartitions || first >= sectors {
		return parts
	}
	return append(parts, partition{int64(first) * sector, int64(min(n, sectors-first)) * sector, number})
}

func le32(b []byte, at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
func le64(b []byte, at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
