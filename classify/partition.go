package classify

import "hash/crc32"

// Bounds of what is read of a partition table.
const (
	maxPartitions  = 128
	maxGPTEntries  = 1024
	maxGPTEntry    = 4096
	gptHeaderBytes = 92
)

// partition is a byte range of the volume.
type partition struct{ off, len int64 }

// readPartitions finds GPT (UEFI specification 2.10, section 5.3) and MBR (section 5.2) partitions, and names the
// table; with neither it returns "".
func readPartitions(r View, b *builder, size int64) (string, []partition, error) {
	var mbr [512]byte
	if err := r.ReadAt(mbr[:], 0); err != nil {
		return "", nil, err
	}
	if mbr[510] != 0x55 || mbr[511] != 0xaa {
		return "", nil, nil
	}
	for _, sector := range []int64{512, 4096} {
		parts, err := readGPT(r, b, size, sector)
		if err != nil || parts != nil {
			return "gpt", parts, err
		}
	}
	parts, err := readMBR(r, b, size, mbr[:])
	if err != nil || parts == nil {
		return "", nil, err
	}
	return "mbr", parts, nil
}

// readGPT reads the primary table of a volume with the given sector size, or nothing if it is not sound.
func readGPT(r View, b *builder, size, sector int64) ([]partition, error) {
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
	b.add(0, 2*sector, PartitionTable)
	b.add(int64(at)*sector, n*each, PartitionTable)
	b.add((size/sector-1)*sector, sector, PartitionTable)
	parts := []partition{}
	for ; len(entries) > 0; entries = entries[each:] {
		first, last := le64(entries, 32), le64(entries, 40)
		if [16]byte(entries[:16]) != ([16]byte{}) && first > 0 && first <= last {
			parts = appendPartition(parts, first, last-first+1, sector, size)
		}
	}
	return parts, nil
}

// readMBR reads the four primary partitions and the chain of logical ones.
func readMBR(r View, b *builder, size int64, mbr []byte) ([]partition, error) {
	var parts []partition
	for i := range 4 {
		kind, first, n := mbrEntry(mbr, i)
		if kind == 0 || first == 0 || n == 0 {
			continue
		}
		if !isExtended(kind) {
			parts = appendPartition(parts, first, n, 512, size)
			continue
		}
		var err error
		if parts, err = readLogical(r, b, size, first, parts); err != nil {
			return nil, err
		}
	}
	if parts != nil {
		b.add(0, 512, PartitionTable)
	}
	return parts, nil
}

// readLogical follows the chain of extended boot records that begins at sector base.
func readLogical(r View, b *builder, size int64, base uint64, parts []partition) ([]partition, error) {
	var ebr [512]byte
	for at, n := base, 0; n < maxPartitions && at < uint64(size/512); n++ {
		if err := r.ReadAt(ebr[:], int64(at)*512); err != nil {
			return nil, err
		}
		if ebr[510] != 0x55 || ebr[511] != 0xaa {
			break
		}
		b.add(int64(at)*512, 512, PartitionTable)
		if kind, first, n := mbrEntry(ebr[:], 0); kind != 0 && n != 0 {
			parts = appendPartition(parts, at+first, n, 512, size)
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
func appendPartition(parts []partition, first, n uint64, sector, size int64) []partition {
	sectors := uint64(size / sector)
	if len(parts) >= maxPartitions || first >= sectors {
		return parts
	}
	return append(parts, partition{int64(first) * sector, int64(min(n, sectors-first)) * sector})
}
