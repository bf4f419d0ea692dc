package classify

import (
	"github.com/weirstor/weir/classify/fs"
	"github.com/weirstor/weir/classify/fs/layout"
)

// mapFuel is how many blocks ReadMap reads of each file system to find directories, trees and extent trees; what lies
// beyond is taken for data.
const mapFuel = 1 << 14

// ReadMap looks at the content of a volume of size bytes and returns what it understands of it. Structures that make
// no sense only lower the knowledge; the error is that of a read of r. Reads, memory and time are bounded by the
// number of block groups that size has room for.
func ReadMap(r View, size int64) (*Map, error) {
	b := &builder{size: size}
	found, err := layout.Find(r, size, false, b.add)
	if err != nil {
		return nil, err
	}
	for _, s := range found.Systems {
		if err := s.Regions(fs.NewFuel(mapFuel), b.add); err != nil {
			return nil, err
		}
	}
	return b.build(found.Name()), nil
}

// View is the content of a volume. A read beyond its size yields zeroes.
type View = fs.View

// Region is the kind of a range of a volume, as far as its file system is known. It fits in four bits.
type Region = fs.Region

// The kinds; fs.Region says what each holds.
const (
	Unknown        = fs.Unknown
	PartitionTable = fs.PartitionTable
	Superblock     = fs.Superblock
	GroupDesc      = fs.GroupDesc
	BlockBitmap    = fs.BlockBitmap
	InodeBitmap    = fs.InodeBitmap
	InodeTable     = fs.InodeTable
	Journal        = fs.Journal
	Directory      = fs.Directory
	Data           = fs.Data
	ExtentTree     = fs.ExtentTree
	NumRegions     = fs.NumRegions
)
