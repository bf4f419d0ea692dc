package fs

// View is the content of a volume, or of a part of one. A read beyond its size yields zeroes.
type View interface {
	// ReadAt fills p from byte offset off.
	ReadAt(p []byte, off int64) error
}

// Span is a range of bytes of a volume.
type Span struct{ Off, Len int64 }

// Run says that Len bytes of a file from File on lie at Off of the volume. Unwritten extents are no runs: they read as
// zeroes, whatever lies there.
type Run struct{ File, Off, Len int64 }
