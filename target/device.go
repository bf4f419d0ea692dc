package target

// Device is one block device as a door sees it.
//
// All offsets and lengths are in bytes. A door may call every method from any number of goroutines at once; the
// outcome of overlapping writes that are in flight together is that of one of their orders. A Device never keeps a
// slice after the call has returned, and never changes the content of a slice given to it for writing.
//
// A range outside [0, Size()) is refused with ErrOutOfRange and has no effect. Ranges need not be aligned to
// BlockSize; doors enforce the alignment that their protocol promises.
type Device interface {
	// ReadAt fills p with the content at off. It fills all of p or returns an error; after an error the content of p
	// is unspecified and must not be sent to a client.
	ReadAt(p []byte, off int64) error

	// WriteAt stores p at off. On return without error the write survives the death of the process; with fua it is
	// also on stable storage.
	WriteAt(p []byte, off int64, fua bool) error

	// WriteZeroes makes [off, off+n) read as zeroes. Durability as for WriteAt, by ZeroFUA.
	WriteZeroes(off, n int64, flags ZeroFlags) error

	// Trim says that the content of [off, off+n) is not needed any more. The range reads as zeroes afterwards.
	// Durability as for WriteAt.
	Trim(off, n int64, fua bool) error

	// Flush returns after every write that was acknowledged before the call is on stable storage.
	Flush() error

	// Size is the size of the device in bytes, a multiple of BlockSize. It may grow while the device is served.
	Size() int64

	// BlockSize is the logical block size, 512 or 4096 bytes.
	BlockSize() int

	// ReadOnly reports whether mutating calls are refused with ErrReadOnly.
	ReadOnly() bool

	// Extents describes [off, off+n) as consecutive extents, in address order, that together cover the range exactly.
	// It may describe the range coarsely: Data is always a correct answer.
	Extents(off, n int64) ([]Extent, error)
}

// BatchWriter is implemented by devices that store several writes at the cost of one. A door that has received more
// than one write hands all of them over together.
type BatchWriter interface {
	// WriteBatch stores every op as WriteAt would, in the order of the slice, and sets each op's Err. An op that
	// fails does not keep the others from being stored.
	WriteBatch(ops []WriteOp)
}

// WriteOp is one write of a batch.
type WriteOp struct {
	Data []byte // owned by the caller; not kept after the call
	Off  int64  // bytes
	FUA  bool   // on stable storage before the batch returns
	Err  error  // outcome, set by WriteBatch
}

// WriteBatch stores ops on dev, together where dev can.
func WriteBatch(dev Device, ops []WriteOp) {
	if b, ok := dev.(BatchWriter); ok {
		b.WriteBatch(ops)
		return
	}
	for i := range ops {
		ops[i].Err = dev.WriteAt(ops[i].Data, ops[i].Off, ops[i].FUA)
	}
}

// ZeroFlags refine WriteZeroes.
type ZeroFlags uint8

const (
	ZeroFUA    ZeroFlags = 1 << iota // on stable storage before the call returns
	ZeroNoHole                       // the range shall stay allocated
	ZeroFast                         // refuse with ErrNotFast rather than write zeroes slowly
)

// ExtentKind says what an Extent holds.
type ExtentKind uint8

const (
	Data ExtentKind = iota // may hold anything
	Zero                   // allocated, reads as zeroes
	Hole                   // not allocated, reads as zeroes
)

// Extent is a run of one kind.
type Extent struct {
	Off, Len int64 // bytes; Len > 0
	Kind     ExtentKind
}
