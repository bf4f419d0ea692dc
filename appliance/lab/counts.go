package lab

import (
	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/replicate/codec"
)

// Counts lists what is not zero.
func Counts(c *codec.EncodingCounts) (out []api.ChunkCount) {
	for class := range c {
		for e, n := range c[class] {
			if n != (codec.EncodingCount{}) {
				out = append(out, api.ChunkCount{Class: classify.Class(class).String(), Encoding: codec.Encoding(e).String(),
					Chunks: n.Chunks, Bytes: n.Bytes, WireBytes: n.Wire})
			}
		}
	}
	return out
}
