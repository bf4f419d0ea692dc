package nbd

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
)

const (
	maxOptionData  = 64 << 10 // largest option data that is read into memory
	maxOptionDrain = 1 << 20  // larger than this is not even skipped: the client is cut off
)

var (
	errAborted   = errors.New("client ended the handshake")
	errProtocol  = errors.New("protocol violation")
	errTLSNeeded = errors.New("client did not start TLS, which is required")
)

// handshake is the negotiation with one client, up to the transmission phase; proto.md, "Handshake".
type handshake struct {
	exports Exports
	opt     *Options
	log     *slog.Logger
	closing func() bool // reports that the server is being shut down
	full    func() bool // reports that there is no place for another connection; nil: never

	conn net.Conn // the tls.Conn once TLS has begun
	r    *bufio.Reader
	w    *bufio.Writer

	fixed    bool // the client speaks fixed newstyle
	noZeroes bool
	tls      bool
	leash    leash

	// State that STARTTLS forgets.
	style       style
	contexts    []metaContext
	contextsFor string // export name that contexts were selected for
}

// run negotiates until the client has chosen an export. It returns io.EOF or errAborted when the client has left in
// order. The caller owns the deadline of the connection and closes it.
func (h *handshake) run(ctx context.Context) (*terms, error) {
	if err := h.greet(); err != nil {
		return nil, err
	}
	for {
		t, err := h.next(ctx)
		if t != nil || err != nil {
			return t, err
		}
		if err := h.w.Flush(); err != nil {
			return nil, err
		}
	}
}

// greet exchanges flags; proto.md, "Newstyle negotiation" and "Client flags".
func (h *handshake) greet() error {
	b := binary.BigEndian.AppendUint64(nil, magicInit)
	b = binary.BigEndian.AppendUint64(b, magicOption)
	b = binary.BigEndian.AppendUint16(b, flagFixedNewstyle|flagNoZeroes)
	if _, err := h.conn.Write(b); err != nil {
		return err
	}
	var in [4]byte
	if _, err := io.ReadFull(h.r, in[:]); err != nil {
		return err
	}
	flags := binary.BigEndian.Uint32(in[:])
	if bad := flags &^ (clientFixedNewstyle | clientNoZeroes); bad != 0 {
		return fmt.Errorf("%w: client flags %#x, of which %#x are unknown", errProtocol, flags, bad)
	}
	h.fixed = flags&clientFixedNewstyle != 0
	h.noZeroes = flags&clientNoZeroes != 0
	return nil
}

// next handles one option. It returns the terms if the option begins the transmission phase.
func (h *handshake) next(ctx context.Context) (*terms, error) {
	var head [16]byte
	if _, err := io.ReadFull(h.r, head[:]); err != nil {
		return nil, err
	}
	if got := binary.BigEndian.Uint64(head[:]); got != magicOption {
		return nil, fmt.Errorf("%w: option has magic %#016x, want %#016x", errProtocol, got, magicOption)
	}
	o := option(binary.BigEndian.Uint32(head[8:]))
	n := binary.BigEndian.Uint32(head[12:])
	if n > maxOptionData {
		return nil, h.tooLong(o, n)
	}
	data := make([]byte, n)
	if _, err := io.ReadFull(h.r, data); err != nil {
		return nil, fmt.Errorf("option %d with %d bytes of data: %w", o, n, err)
	}
	return h.handle(ctx, o, data)
}

// tooLong skips n bytes of data, within a bound, and refuses the option.
func (h *handshake) tooLong(o option, n uint32) error {
	if n > maxOptionDrain || o == optExportName {
		return fmt.Errorf("%w: option %d with %d bytes of data, at most %d are read", errProtocol, o, n, maxOptionData)
	}
	if _, err := io.CopyN(io.Discard, h.r, int64(n)); err != nil {
		return fmt.Errorf("option %d with %d bytes of data: %w", o, n, err)
	}
	if !h.known(o) {
		return h.reply(o, repErrUnsup, nil)
	}
	if h.opt.TLSMode == TLSRequire && !h.tls && o != optStartTLS && o != optAbort {
		return h.reply(o, repErrTLSReqd, nil)
	}
	return h.refuse(o, repErrTooBig, fmt.Sprintf("%d bytes of data, at most %d", n, maxOptionData))
}

func (h *handshake) known(o option) bool {
	return o >= optExportName && o <= optExtendedHeaders && o != 4
}

// handle answers option o.
func (h *handshake) handle(ctx context.Context, o option, data []byte) (*terms, error) {
	if o == optAbort {
		return nil, h.abort()
	}
	if h.opt.TLSMode == TLSRequire && !h.tls && o != optStartTLS {
		return nil, h.demandTLS(o)
	}
	if h.closing() {
		if o == optExportName {
			return nil, ErrServerClosed
		}
		return nil, h.reply(o, repErrShutdown, nil)
	}
	switch o {
	case optExportName:
		return h.exportName(ctx, data)
	case optList:
		return nil, h.list(data)
	case optStartTLS:
		return nil, h.startTLS(ctx, data)
	case optInfo, optGo:
		return h.info(ctx, o, data)
	case optStructuredReply:
		return nil, h.structuredReply(data)
	case optListMetaContext, optSetMetaContext:
		return nil, h.metaContext(o, data)
	case optExtendedHeaders:
		return nil, h.extendedHeaders(data)
	}
	return nil, h.reply(o, repErrUnsup, nil)
}

// abort acknowledges; proto.md, "NBD_OPT_ABORT (2)": the client may be gone already.
func (h *handshake) abort() error {
	if err := h.reply(optAbort, repAck, nil); err == nil {
		_ = h.w.Flush()
	}
	return errAborted
}

// list names the exports; proto.md, "NBD_OPT_LIST (3)".
func (h *handshake) list(data []byte) error {
	if len(data) > 0 {
		return h.refuse(optList, repErrInvalid, "list takes no data")
	}
	for _, e := range h.exports.List() {
		if _, err := h.authorize(e); err != nil || checkText(e.Name) != nil {
			continue
		}
		b := binary.BigEndian.AppendUint32(nil, uint32(len(e.Name)))
		b = append(b, e.Name...)
		b = append(b, description(e)...)
		if err := h.reply(optList, repServer, b); err != nil {
			return err
		}
	}
	return h.reply(optList, repAck, nil)
}

// structuredReply switches structured replies on; ext-header: extended headers take precedence.
func (h *handshake) structuredReply(data []byte) error {
	if len(data) > 0 {
		return h.refuse(optStructuredReply, repErrInvalid, "structured reply takes no data")
	}
	if h.style == extended {
		return h.refuse(optStructuredReply, repErrExtHeaderReqd, "extended headers are on already")
	}
	h.style = structured
	return h.reply(optStructuredReply, repAck, nil)
}

// extendedHeaders switches extended headers on; ext-header, "NBD_OPT_EXTENDED_HEADERS".
func (h *handshake) extendedHeaders(data []byte) error {
	if len(data) > 0 {
		return h.refuse(optExtendedHeaders, repErrInvalid, "extended headers takes no data")
	}
	if h.style == extended {
		return h.refuse(optExtendedHeaders, repErrInvalid, "extended headers are on already")
	}
	h.style = extended
	return h.reply(optExtendedHeaders, repAck, nil)
}

// reply queues one option reply; proto.md, "Fixed newstyle negotiation".
func (h *handshake) reply(o option, kind optionReply, data []byte) error {
	var head [20]byte
	binary.BigEndian.PutUint64(head[:], magicOptionReply)
	binary.BigEndian.PutUint32(head[8:], uint32(o))
	binary.BigEndian.PutUint32(head[12:], uint32(kind))
	binary.BigEndian.PutUint32(head[16:], uint32(len(data)))
	if _, err := h.w.Write(head[:]); err != nil {
		return err
	}
	_, err := h.w.Write(data)
	return err
}

// refuse queues an error reply with a text for people.
func (h *handshake) refuse(o option, kind optionReply, why string) error {
	h.log.Debug("option refused", "option", uint32(o), "reply", fmt.Sprintf("%#x", uint32(kind)), "why", why)
	return h.reply(o, kind, []byte(messageOf(errors.New(why))))
}

// description is what clients are told about e, cut to what the protocol allows.
func description(e ExportInfo) string {
	if checkText(e.Description) != nil {
		return ""
	}
	return e.Description
}
