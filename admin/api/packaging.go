package api

// Packaging is how changes of a volume are packaged.
type Packaging struct {
	Sensitivity string `json:"sensitivity" enum:"fast,balanced,thorough" doc:"how hard packaging looks for fewer bytes"`
}

// DecisionList is what packaging decided last.
type DecisionList struct {
	Items []Decision `json:"items" doc:"the latest first"`
}

// Decision says how one chunk was packaged, and why.
type Decision struct {
	Offset   int64          `json:"offset"`
	Length   int64          `json:"length"`
	Class    string         `json:"class"`
	Encoding string         `json:"encoding" doc:"what most of its changed bytes came from"`
	Search   string         `json:"search" doc:"where copies were looked for; each includes those before it: plain, near, index, inner"`
	Why      []string       `json:"why" doc:"features, and the limits that the model compared them with, from the root of its tree"`
	From     DecisionShares `json:"from" doc:"bytes of the chunk that each encoder covered: what the others could not do for less"`
	Out      int64          `json:"out_bytes" doc:"bytes of packs that the chunk takes, its share of the compressed columns"`
}

// DecisionShares is bytes by encoder.
type DecisionShares struct {
	Same    int64 `json:"same" doc:"old content of the same address"`
	Zero    int64 `json:"zero"`
	Copy    int64 `json:"copy" doc:"earlier content of other places"`
	Repeat  int64 `json:"repeat" doc:"what the epoch made before"`
	Stream  int64 `json:"stream" doc:"deflate streams, as what they hold"`
	Literal int64 `json:"literal"`
}

// TraceRecorded is a trace that was recorded.
type TraceRecorded struct {
	Path    string  `json:"path" doc:"file on the gateway"`
	Bytes   int64   `json:"bytes"`
	Epochs  int64   `json:"epochs"`
	Runs    int64   `json:"runs" doc:"decisions where to look for copies"`
	Columns int64   `json:"columns" doc:"decisions how to compress"`
	Dropped int64   `json:"dropped" doc:"decisions that the bound left no room for"`
	Seconds float64 `json:"seconds"`
}
