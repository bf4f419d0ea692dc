package trace

import (
	"errors"

	"github.com/weirstor/weir/classify/engine"
)

// Format names the file, Version its version.
const (
	Format  = "weir-trace"
	Version = 1
)

// MaxBytes bounds a trace file.
const MaxBytes = 64 << 20

// maxLine bounds a line, bytes.
const maxLine = 64 << 10

// Errors of Read.
var (
	ErrVersion = errors.New("trace of a version that this build does not read")
	ErrCorrupt = errors.New("damaged trace")
)

// line is one line of the file; exactly one field is set.
type line struct {
	Header *Header    `json:"header,omitempty"`
	Run    *runLine   `json:"run,omitempty"`
	Column *runLine   `json:"column,omitempty"`
	Epoch  *Epoch     `json:"epoch,omitempty"`
	End    *endOfFile `json:"end,omitempty"`
}

// Header is the first line.
type Header struct {
	Format   string `json:"format"`
	Version  int    `json:"version"`
	Features int    `json:"features_version"` // of the model file that has the same features and answers
}

// runLine is a decision: a feature for each of the question, bytes and work for each answer.
type runLine struct {
	X   []float32  `json:"x"`
	Out [][2]int64 `json:"out"`
}

// Epoch is what an epoch cost, and what it would have cost as whole blocks.
type Epoch struct {
	Host    int64   `json:"host_bytes"`    // leaf blocks that hosts wrote
	Changed int64   `json:"changed_bytes"` // of these, leaf blocks whose content is another one
	Wire    int64   `json:"wire_bytes"`    // packs, as sent
	Fixed   []Fixed `json:"fixed"`
}

// Fixed is what sending whole blocks of one size costs.
type Fixed struct {
	BlockBytes int   `json:"block_bytes"`
	Raw        int64 `json:"raw_bytes"`
	Zstd       int64 `json:"zstd_bytes"` // each block compressed by itself
}

// endOfFile is the last line of a trace that was not cut off.
type endOfFile struct {
	Dropped int64 `json:"dropped"` // lines that the bound left no room for
}

// Trace is what a file holds.
type Trace struct {
	Runs, Columns []engine.Sample
	Epochs        []Epoch
	Dropped       int64
	Complete      bool // the last line is there
}
