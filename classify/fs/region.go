package fs

import "fmt"

// Region is the kind of a range of a volume, as far as its file system is known. It fits in four bits.
type Region uint8

const (
	Unknown        Region = iota // nothing is known of the range
	PartitionTable               // MBR, GPT header or GPT entries
	Superblock                   // file-system superblock or boot sector, or a copy of it
	GroupDesc                    // ext4 group descriptors and the blocks reserved for more of them; XFS AG headers; RAID and LVM metadata
	BlockBitmap                  // which blocks are free: bitmaps, or XFS's trees of free space and reference counts
	InodeBitmap                  // which inodes are free: bitmaps, or XFS's trees of inodes
	InodeTable                   // inodes; NTFS file records
	Journal
	Directory
	Data       // within a known file system and none of the others: file content
	ExtentTree // blocks that say where the content of a file is
)

// NumRegions is the number of region kinds; every Region is below it.
const NumRegions = 11

var regionNames = [NumRegions]string{"unknown", "partition-table", "superblock", "group-descriptors", "block-bitmap",
	"inode-bitmap", "inode-table", "journal", "directory", "data", "extent-tree"}

func (r Region) String() string {
	if r < NumRegions {
		return regionNames[r]
	}
	return fmt.Sprintf("Region(%d)", uint8(r))
}

// IsMetadata reports whether the region holds structures of the file system rather than file content. A journal
// counts: it holds copies of metadata blocks.
func (r Region) IsMetadata() bool { return r != Unknown && r != Data && r < NumRegions }
