package storepack

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// The coders are shared by all stores of the process; their EncodeAll and DecodeAll are safe for concurrent use.
var coders = sync.OnceValue(func() (c struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}) {
	var err error
	c.enc, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false),
		zstd.WithWindowSize(SlotBytes), zstd.WithLowerEncoderMem(true))
	if err == nil {
		c.dec, err = zstd.NewReader(nil, zstd.WithDecoderMaxMemory(SlotBytes), zstd.WithDecoderMaxWindow(1<<20),
			zstd.WithDecoderConcurrency(0), zstd.WithDecoderLowmem(true))
	}
	if err != nil {
		panic(fmt.Sprintf("storepack: the options of the compressor are not valid: %v", err)) // constants above
	}
	return c
})

// compress appends data to b, compressed, and reports whether that saved at least an eighth.
func compress(b, data []byte) ([]byte, bool) {
	at := len(b)
	b = coders().enc.EncodeAll(data, b)
	return b, len(b)-at <= len(data)-len(data)/8
}

// decompress returns the content of b, which must be size bytes, at most SlotBytes.
func decompress(b []byte, size int) ([]byte, error) {
	out, err := coders().dec.DecodeAll(b, make([]byte, 0, size))
	if err != nil {
		return nil, fmt.Errorf("decompress %d bytes to %d: %w", len(b), size, err)
	}
	return out, nil
}
