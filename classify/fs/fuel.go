package fs

// Fuel bounds the work of one walk over a file system, in blocks read, so that structures that point at each other end.
type Fuel struct{ left int64 }

// NewFuel allows n reads.
func NewFuel(n int64) *Fuel { return &Fuel{n} }

// Use takes n reads and reports whether they were still allowed.
func (f *Fuel) Use(n int64) bool {
	f.left -= n
	return f.left >= 0
}
