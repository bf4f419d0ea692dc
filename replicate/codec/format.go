package codec

import (
	"github.com/weirstor/weir/intercept/leaf"
)

// FrameType is the type of a pack frame that this package writes. A change of the bytes takes the next number. Those
// from oldestFrameType on are read.
const FrameType = 2

// oldestFrameType knows columns as they are and in zstd only.
const oldestFrameType = 1

// Limits of the format, docs/format-pack.md. They bound what a decoder allocates and holds.
const (
	MaxColumnBytes  = 16 << 20 // all columns of a frame together, decompressed
	MaxSegmentBytes = 1 << 20  // leaf blocks that the data chunks of a segment touch
	MaxSegmentZero  = 64 << 20 // leaf blocks that the zero chunks of a segment touch
	MaxRepeat       = 16 << 20 // leaf blocks made last in an epoch that can be copied again
	MaxVolumes      = 1 << 16  // volumes that one epoch names
	MaxInnerBytes   = 4 << 20  // what a deflate stream holds
	MaxInnerRatio   = 64       // what a deflate stream holds, as a multiple of its length
	MaxOffset       = 1 << 56  // end of the last chunk of any volume
	digestBytes     = 8
)

const blockSize = leaf.BlockSize

// The columns of a frame, in order.
const (
	colSegments = iota // per segment: volume and pass, tokens, digest of the base, digest of the result
	colControl         // per token: op, where its literal is, class of the chunk that it begins
	colGaps            // per chunk: bytes since the end of the chunk before it
	colLiterals        // per token: length of its literal
	colCopies          // per token with a copy: length of the copy
	colSources         // per copy from a new place: displacement or volume and address
	colNotices         // per notice of unchanged content: volume, offset, length, blocks
	colData            // the literals that are worth compressing
	colRaw             // the literals that are not
	numColumns
)

// How a column is stored.
const (
	storeRaw  = 0
	storeZstd = 1 // a zstd frame without its magic number
	storeS2   = 2 // an S2 block; from frame type 2 on

	storeBits = 2 // of a column's head; 1 in frame type 1
)

// Ops: what follows the literal of a token. Bits 0 to 3 of the control byte.
const (
	opNone  = 0 // nothing
	opSelf  = 1 // old content of the same address
	opLast  = 2 // as far away as the last displaced copy
	opLast2 = 3 // as the one before that
	opLast3 = 4
	opNear  = 5  // new displacement, bytes, as a difference from the last
	opPage  = 6  // new displacement, leaf blocks, as a difference from the last
	opOther = 7  // another volume: its number and the address
	opZero  = 8  // zeroes
	opMade  = 9  // what this epoch made before
	opInner = 10 // the inner tokens that follow, deflated
	numOps  = 11
)

// The rest of the control byte.
const (
	opMask     = 15
	flagRaw    = 1 << 4 // the literal is in colRaw
	classShift = 5      // class of the chunk that begins here
	classInner = 6      // the token makes content that is deflated
	classSame  = 7      // no chunk begins here
)

// The order of an epoch: everything of passMeta before everything of passData.
const (
	passMeta = 0
	passData = 1
	numPass  = 2
)

// The kind of a deflate stream: its level, and whether it is a whole zlib stream (RFC 1950) or only its deflate part.
const (
	innerLevels = 9
	innerZlib   = 16
)

// place is where displaced copies come from: an address in the old content of a volume is the target's address plus
// disp. For what this epoch made, both addresses are positions in the stream of results.
type place struct {
	volume int // number in the epoch's volume table, or made
	disp   int64
}

// made stands in a place for the stream of results.
const made = -1

// recent is the last three places, the latest first. It starts over with each frame.
type recent [3]place

// use moves entry i to the front.
func (r *recent) use(i int) {
	p := r[i]
	copy(r[1:i+1], r[:i])
	r[0] = p
}

// push makes p the latest.
func (r *recent) push(p place) {
	r[2], r[1], r[0] = r[1], r[0], p
}

func zigzag(v int64) uint64   { return uint64(v)<<1 ^ uint64(v>>63) }
func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

func blockFloor(off int64) int64 { return off &^ (blockSize - 1) }
func blockCeil(off int64) int64  { return (off + blockSize - 1) &^ (blockSize - 1) }
