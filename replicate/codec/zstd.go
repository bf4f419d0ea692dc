package codec

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/weirstor/weir/classify/engine"
)

// The compressors are shared by all groups: the larger ones keep tables of tens of MiB. A window of a whole column
// costs no more than the column.
const zstdWindow = 8 << 20

// zstdMagic begins each zstd frame (RFC 8878, section 3.1.1) and is left out of packs.
const zstdMagic = 0xfd2fb528

// squeezeLevels are the levels of the answers from engine.SqueezeLow on.
var squeezeLevels = [engine.NumSqueeze]zstd.EncoderLevel{
	engine.SqueezeLow:    zstd.SpeedFastest,
	engine.SqueezeNormal: zstd.SpeedDefault,
	engine.SqueezeHigh:   zstd.SpeedBetterCompression,
	engine.SqueezeMost:   zstd.SpeedBestCompression,
}

var compressors [engine.NumSqueeze]struct {
	once sync.Once
	enc  *zstd.Encoder
}

// compressor returns the shared encoder of an answer from engine.SqueezeLow on; EncodeAll may be called concurrently and waits for its turn.
func compressor(e engine.Squeeze) *zstd.Encoder {
	c := &compressors[e]
	c.once.Do(func() {
		enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(squeezeLevels[e]), zstd.WithWindowSize(zstdWindow),
			zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true),
			zstd.WithSingleSegment(true))
		if err != nil {
			panic(fmt.Sprintf("codec: zstd options: %v", err)) // the options are constants
		}
		c.enc = enc
	})
	return c.enc
}

var decompressor = sync.OnceValue(func() *zstd.Decoder {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(MaxColumnBytes),
		zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic(fmt.Sprintf("codec: zstd options: %v", err)) // the options are constants
	}
	return dec
})

// compress appends src, compressed and without the magic number, to dst. scratch is reused and returned.
func compress(dst, src, scratch []byte, e engine.Squeeze) (out, kept []byte) {
	scratch = compressor(e).EncodeAll(src, scratch[:0])
	return append(dst, scratch[4:]...), scratch
}

// expand appends to dst the n bytes that src holds compressed, without a magic number.
func expand(dst, src []byte, n int, scratch []byte) (out, kept []byte, err error) {
	scratch = binary.LittleEndian.AppendUint32(scratch[:0], zstdMagic)
	scratch = append(scratch, src...)
	if cap(dst)-len(dst) < n {
		dst = append(make([]byte, 0, len(dst)+n), dst...)
	}
	at := len(dst)
	out, err = decompressor().DecodeAll(scratch, dst[:at:at+n])
	if err != nil {
		return dst, scratch, corrupt("zstd column: %v", err)
	}
	if len(out)-at != n {
		return dst, scratch, corrupt("zstd column of %d bytes, want %d", len(out)-at, n)
	}
	return out[: at+n : cap(dst)], scratch, nil
}
