package engine

// Question is what a tree answers: the features that it sees and the answers that it may give, in order.
type Question struct {
	Name     string
	Features []string
	Answers  []string
}

// Search is where copies are looked for; each answer includes those before it.
type Search uint8

const (
	SearchPlain Search = iota // old content of the same address, and zeroes
	SearchNear                // the last few places, and blocks that the epoch made before
	SearchIndex               // the index of earlier content
	SearchInner               // and within deflate streams
	NumSearch
)

func (s Search) String() string { return SearchQuestion.Answers[s] }

// Run is the features of a changed run.
type Run [NumRunFeatures]float32

// Features of a changed run.
const (
	RunClass    = iota // classify.Class
	RunRegion          // classify.Region of its first byte
	RunLength          // log2 of its bytes
	RunChanged         // share of its bytes that the same address does not hold
	RunFresh           // share of its leaf blocks that were zeroes
	RunRepeated        // share of its leaf blocks that the epoch made before
	RunEntropy         // bits a byte of a sample, 0 to 8
	RunKnown           // share of a few sampled places that the index knows; -1: too short for a sample
	RunStreams         // headers of deflate streams in the sample, a KiB
	RunIndexed         // share of what the index brought to runs of the volume lately
	RunNear            // share of what near places brought lately
	RunInner           // share of what deflate streams brought lately
	RunEpoch           // log2 of the bytes of leaf blocks that the epoch wrote
	NumRunFeatures
)

// SearchQuestion is asked for each changed run.
var SearchQuestion = Question{
	Name: "search",
	Features: []string{"class", "region", "length", "changed", "fresh", "repeated", "entropy", "known", "streams",
		"indexed-lately", "near-lately", "inner-lately", "epoch"},
	Answers: []string{"plain", "near", "index", "inner"},
}

// Squeeze is how a column is compressed.
type Squeeze uint8

const (
	SqueezeNone   Squeeze = iota
	SqueezeS2             // S2, for speed
	SqueezeLow            // zstd, fastest
	SqueezeNormal         // zstd, default
	SqueezeHigh           // zstd, better
	SqueezeMost           // zstd, best
	NumSqueeze
)

func (s Squeeze) String() string { return SqueezeQuestion.Answers[s] }

// Column is the features of a frame's column.
type Column [NumColumnFeatures]float32

// Features of a column.
const (
	ColumnKind    = iota // its number in the format
	ColumnLength         // log2 of its bytes
	ColumnDone           // log2 of the bytes of columns that the epoch compressed before, and these
	ColumnEntropy        // bits a byte of a sample, 0 to 8
	ColumnRatio          // what S2 makes of a sample, 1: nothing is gained
	NumColumnFeatures
)

// SqueezeQuestion is asked for each column of a frame.
var SqueezeQuestion = Question{
	Name:     "squeeze",
	Features: []string{"column", "length", "done", "entropy", "ratio"},
	Answers:  []string{"none", "s2", "zstd-1", "zstd-3", "zstd-7", "zstd-11"},
}

// Questions are all of them.
var Questions = [...]*Question{&SearchQuestion, &SqueezeQuestion}
