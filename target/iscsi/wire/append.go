package wire

import (
	"encoding/binary"
	"hash/crc32"
)

// AppendHeader appends h, and its digest if asked, to dst. The data length in h must be set already; h must carry no
// additional header segment.
func AppendHeader(dst []byte, h *Header, digest bool) []byte {
	dst = append(dst, h[:]...)
	if digest { // over the copy, so that h stays off the heap
		dst = binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[len(dst)-HeaderLen:], castagnoli))
	}
	return dst
}

var padding [3]byte

// AppendTail appends what follows the data segment: its padding and, if asked, its digest. It appends nothing after
// an empty segment.
func AppendTail(dst, data []byte, digest bool) []byte {
	if len(data) == 0 {
		return dst
	}
	pad := padding[:Pad(len(data))]
	dst = append(dst, pad...)
	if digest {
		sum := crc32.Update(crc32.Checksum(data, castagnoli), castagnoli, pad)
		dst = binary.LittleEndian.AppendUint32(dst, sum)
	}
	return dst
}

// AppendPDU appends a whole PDU: h with its data length set to len(data), data, padding and digests.
func AppendPDU(dst []byte, h *Header, data []byte, headerDigest, dataDigest bool) []byte {
	h.SetDataLen(len(data))
	dst = AppendHeader(dst, h, headerDigest)
	dst = append(dst, data...)
	return AppendTail(dst, data, dataDigest)
}
