package layout

import (
	"encoding/binary"
	"fmt"

	"github.com/weirstor/weir/classify/fs"
)

// mdMagic begins a superblock of the version 1 formats of Linux MD (include/uapi/linux/raid/md_p.h, struct mdp_superblock_1).
const mdMagic = 0xa92b4efc

// array looks behind the superblock of an MD array whose members hold the data unstriped: RAID 1, or linear with one
// member. A striped member tells nothing by itself.
func (l *Layout) array(on *layer, label string, depth int) (bool, error) {
	size := on.size()
	for _, at := range []int64{4096, 0, (size/512 - 16) &^ 7 * 512} { // version 1.2, 1.1, 1.0
		if at < 0 || at+4096 > size {
			continue
		}
		var sb [256]byte
		if err := on.ReadAt(sb[:], at); err != nil {
			return false, wrap(err, "array superblock", label)
		}
		off, n, ok := parseMD(sb[:], at, size)
		if !ok {
			continue
		}
		l.report(on, at, 4096, fs.GroupDesc)
		before := len(l.names)
		err := l.look(on.within([]segment{{0, n, off}}), join(label, fmt.Sprintf("md member %d", binary.LittleEndian.Uint32(sb[160:]))), depth+1)
		l.prefix("md", before)
		return true, err
	}
	return false, nil
}

// parseMD returns where the data of a member lies, in bytes, if it lies there unstriped.
func parseMD(sb []byte, at, size int64) (off, n int64, ok bool) {
	le := binary.LittleEndian
	if le.Uint32(sb) != mdMagic || le.Uint32(sb[4:]) != 1 || le.Uint64(sb[144:])*512 != uint64(at) {
		return 0, 0, false
	}
	level, disks := int32(le.Uint32(sb[72:])), le.Uint32(sb[92:])
	if level != 1 && (level != -1 || disks != 1) {
		return 0, 0, false
	}
	dataOff, dataLen := le.Uint64(sb[128:]), le.Uint64(sb[136:])
	sectors := uint64(size / 512)
	if dataOff > sectors || dataLen > sectors-dataOff || dataLen == 0 {
		return 0, 0, false
	}
	return int64(dataOff) * 512, int64(dataLen) * 512, true
}
