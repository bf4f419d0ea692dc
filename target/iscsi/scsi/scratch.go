package scsi

import "sync"

// step is how much of the device a command without its own buffer reads or writes at once, in bytes.
const step = 256 << 10

// scratch holds buffers of step bytes for commands that look at the medium without sending it.
var scratch = sync.Pool{New: func() any { return new([step]byte) }}

// eachStep calls f for consecutive pieces of op's range, at most size bytes each, until one fails or op is aborted.
func (op *Op) eachStep(size int64, f func(off, n int64) bool) {
	for done := int64(0); done < op.n; done += size {
		if op.aborted.Load() || !f(op.off+done, min(size, op.n-done)) {
			return
		}
	}
}
