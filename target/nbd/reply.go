package nbd

import (
	"encoding/binary"
	"errors"
	"strings"

	"github.com/weirstor/weir/target"
)

// style is the form of requests and replies that a connection has agreed on.
type style uint8

const (
	simple     style = iota // proto.md, "Simple reply message"
	structured              // compact requests, structured replies
	extended                // ext-header: extended requests and replies
)

// requestSize is the size of a request header, in bytes.
func (s style) requestSize() int {
	if s == extended {
		return extendedRequestSize
	}
	return requestSize
}

func appendSimple(b []byte, r *request, e errno) []byte {
	b = binary.BigEndian.AppendUint32(b, magicSimpleReply)
	b = binary.BigEndian.AppendUint32(b, uint32(e))
	return binary.BigEndian.AppendUint64(b, r.cookie)
}

// appendChunk appends the header of a chunk with n bytes of payload; proto.md, "Structured reply chunk message".
func (s style) appendChunk(b []byte, r *request, flags, kind uint16, n int) []byte {
	magic := magicStructuredReply
	if s == extended {
		magic = magicExtendedReply
	}
	b = binary.BigEndian.AppendUint32(b, magic)
	b = binary.BigEndian.AppendUint16(b, flags)
	b = binary.BigEndian.AppendUint16(b, kind)
	b = binary.BigEndian.AppendUint64(b, r.cookie)
	if s == extended {
		b = binary.BigEndian.AppendUint64(b, r.off)
		return binary.BigEndian.AppendUint64(b, uint64(n))
	}
	return binary.BigEndian.AppendUint32(b, uint32(n))
}

// appendDone appends the answer to a request that succeeded and returns no data.
func (s style) appendDone(b []byte, r *request) []byte {
	if s == extended || s == structured && r.cmd == cmdRead {
		return s.appendChunk(b, r, replyFlagDone, replyNone, 0)
	}
	return appendSimple(b, r, 0)
}

// appendDataHeader appends what comes before the data of a READ answered in one piece: n bytes, from offset off on.
func (s style) appendDataHeader(b []byte, r *request, off uint64, n int, flags uint16) []byte {
	if s == simple {
		return appendSimple(b, r, 0)
	}
	b = s.appendChunk(b, r, flags, replyOffsetData, 8+n)
	return binary.BigEndian.AppendUint64(b, off)
}

// appendHole appends a chunk that says that n bytes from off on are zero.
func (s style) appendHole(b []byte, r *request, off uint64, n uint32, flags uint16) []byte {
	b = s.appendChunk(b, r, flags, replyOffsetHole, 12)
	b = binary.BigEndian.AppendUint64(b, off)
	return binary.BigEndian.AppendUint32(b, n)
}

// appendError appends the answer to a request that failed. With structured replies it carries the text of err, and
// where in the range the damage is, if err tells; proto.md, "NBD_REPLY_TYPE_ERROR_OFFSET".
func (s style) appendError(b []byte, r *request, err error) []byte {
	code := errnoOf(err, r.cmd)
	if s == simple {
		return appendSimple(b, r, code)
	}
	text := messageOf(err)
	kind, size := replyError, 6+len(text)
	off, known := damageOffset(err, r)
	if known {
		kind, size = replyErrorOffset, size+8
	}
	b = s.appendChunk(b, r, replyFlagDone, kind, size)
	b = binary.BigEndian.AppendUint32(b, uint32(code))
	b = binary.BigEndian.AppendUint16(b, uint16(len(text)))
	b = append(b, text...)
	if known {
		b = binary.BigEndian.AppendUint64(b, off)
	}
	return b
}

// damageOffset returns the first damaged byte of the range of r, if err names one.
func damageOffset(err error, r *request) (uint64, bool) {
	var m *target.MediumError
	if !errors.As(err, &m) || m.Off < 0 {
		return 0, false
	}
	off := max(uint64(m.Off), r.off)
	return off, off-r.off < r.n
}

// messageOf is the text of err as the protocol wants it: UTF-8, no NUL, bounded.
func messageOf(err error) string {
	s := err.Error()
	if len(s) > maxMessage {
		s = s[:maxMessage]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\x00", "")
}
