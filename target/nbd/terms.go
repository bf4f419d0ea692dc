package nbd

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/weirstor/weir/target"
)

// terms is what a handshake has agreed on. It does not change during the transmission phase.
type terms struct {
	export   ExportInfo
	dev      target.Device
	size     uint64 // bytes, as told to the client; the device may have grown since
	block    uint32 // minimum block size, bytes
	readOnly bool
	style    style
	aligned  bool // the client asked for the block sizes with GO, so it must keep to them
	tls      bool
	contexts []metaContext // by ID, which is the index + 1

	peer       Peer
	attachment Attachment // nil without Options.Attach
}

// open looks name up. The caller releases t.dev.
func (h *handshake) open(name string) (*terms, error) {
	dev, info, err := lookup(h.exports, name)
	if err != nil {
		return nil, err
	}
	access, err := h.authorize(info)
	if err != nil {
		release(dev)
		return nil, err
	}
	size, block := dev.Size(), dev.BlockSize()
	if size < 0 || block < 1 || block > 64<<10 || block&(block-1) != 0 {
		release(dev)
		return nil, fmt.Errorf("export %q has size %d and block size %d", name, size, block)
	}
	return &terms{
		export: info, dev: dev, size: uint64(size), block: uint32(block), readOnly: access.ReadOnly || dev.ReadOnly(),
		style: h.style, tls: h.tls, peer: peerOf(h.conn),
	}, nil
}

// authorize asks whether this client may use the export.
func (h *handshake) authorize(e ExportInfo) (Access, error) {
	if h.opt.Authorize == nil {
		return Access{}, nil
	}
	return h.opt.Authorize(peerOf(h.conn), e)
}

// flags are the transmission flags. CAN_MULTI_CONN is true because every connection to an export calls the same
// Device, whose Flush covers the writes of all of them.
func (t *terms) flags() uint16 {
	f := flagHasFlags | flagSendFlush | flagSendFUA | flagCanMultiConn | flagSendCache
	if t.readOnly {
		f |= flagReadOnly
	} else {
		f |= flagSendTrim | flagSendWriteZeroes | flagSendFastZero
	}
	if t.style != simple {
		f |= flagSendDF
	}
	if t.style == extended && len(t.contexts) > 0 {
		f |= flagBlockStatusPayload
	}
	return f
}

// exportName begins transmission without a way to report errors; proto.md, "NBD_OPT_EXPORT_NAME (1)".
func (h *handshake) exportName(ctx context.Context, data []byte) (*terms, error) {
	if h.style == extended {
		return nil, fmt.Errorf("%w: EXPORT_NAME after EXTENDED_HEADERS", errProtocol)
	}
	if err := checkText(string(data)); err != nil {
		return nil, fmt.Errorf("export name: %w", err)
	}
	t, err := h.open(string(data))
	if err != nil {
		return nil, err
	}
	if err := h.attach(ctx, t); err != nil {
		release(t.dev)
		return nil, err
	}
	h.adopt(t, string(data))
	b := binary.BigEndian.AppendUint64(nil, t.size)
	b = binary.BigEndian.AppendUint16(b, t.flags())
	if !h.noZeroes {
		b = append(b, make([]byte, 124)...)
	}
	if _, err = h.w.Write(b); err == nil {
		err = h.w.Flush()
	}
	if err != nil {
		t.end()
		return nil, err
	}
	return t, nil
}

// adopt gives t the metadata contexts if they were selected for the same export name.
func (h *handshake) adopt(t *terms, name string) {
	if len(h.contexts) > 0 && h.contextsFor == name {
		t.contexts = h.contexts
		for i := range t.contexts {
			t.contexts[i].bind(t)
		}
	}
}

// info answers INFO and GO; proto.md, "NBD_OPT_INFO (6) and NBD_OPT_GO (7)".
func (h *handshake) info(ctx context.Context, o option, data []byte) (*terms, error) {
	q, err := parseInfo(data)
	if err != nil {
		return nil, h.refuse(o, repErrInvalid, err.Error())
	}
	t, err := h.open(q.name)
	if err != nil {
		return nil, h.refuseExport(o, q.name, err)
	}
	if o == optGo && h.full != nil && h.full() {
		release(t.dev)
		return nil, h.refuse(o, repErrPolicy, "there are too many connections")
	}
	if o == optGo {
		if err := h.attach(ctx, t); err != nil {
			release(t.dev)
			return nil, h.refuseExport(o, q.name, err)
		}
	}
	h.adopt(t, q.name)
	t.aligned = q.wantsInfo(infoBlockSize)
	err = h.describe(o, t, q)
	if err == nil && o == optGo {
		if err = h.w.Flush(); err == nil {
			return t, nil
		}
	}
	t.end()
	return nil, err
}

// describe sends the information about t, and the final acknowledgement.
func (h *handshake) describe(o option, t *terms, q infoRequest) error {
	b := binary.BigEndian.AppendUint16(nil, infoExport)
	b = binary.BigEndian.AppendUint64(b, t.size)
	b = binary.BigEndian.AppendUint16(b, t.flags())
	if err := h.reply(o, repInfo, b); err != nil {
		return err
	}
	if q.wantsInfo(infoName) {
		if err := h.infoText(o, infoName, t.export.Name); err != nil {
			return err
		}
	}
	if text := description(t.export); text != "" && q.wantsInfo(infoDescription) {
		if err := h.infoText(o, infoDescription, text); err != nil {
			return err
		}
	}
	b = binary.BigEndian.AppendUint16(nil, infoBlockSize)
	b = binary.BigEndian.AppendUint32(b, t.block)
	b = binary.BigEndian.AppendUint32(b, max(preferredBlock, t.block))
	b = binary.BigEndian.AppendUint32(b, MaxPayload)
	if err := h.reply(o, repInfo, b); err != nil {
		return err
	}
	return h.reply(o, repAck, nil)
}

func (h *handshake) infoText(o option, kind uint16, text string) error {
	return h.reply(o, repInfo, append(binary.BigEndian.AppendUint16(nil, kind), text...))
}
