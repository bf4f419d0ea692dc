package nbd

import (
	"context"
	"crypto/tls"
	"fmt"
)

// startTLS upgrades the connection; proto.md, "NBD_OPT_STARTTLS (5)" and "Server-side requirements".
func (h *handshake) startTLS(ctx context.Context, data []byte) error {
	switch {
	case len(data) > 0:
		return h.refuse(optStartTLS, repErrInvalid, "starttls takes no data")
	case h.tls:
		return h.refuse(optStartTLS, repErrInvalid, "TLS is on already")
	case h.opt.TLSMode == TLSOff:
		return h.refuse(optStartTLS, repErrPolicy, "TLS is switched off on this server")
	case !h.fixed:
		return h.refuse(optStartTLS, repErrPolicy, "TLS needs a client that speaks fixed newstyle")
	}
	if err := h.reply(optStartTLS, repAck, nil); err != nil {
		return err
	}
	if err := h.w.Flush(); err != nil {
		return err
	}
	// Whatever was sent in the clear behind the option could have been put there by somebody in between.
	if n := h.r.Buffered(); n > 0 {
		return fmt.Errorf("%w: %d bytes sent in the clear after STARTTLS", errProtocol, n)
	}
	conn := tls.Server(h.conn, h.opt.TLS)
	if err := conn.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS handshake: %w", err)
	}
	h.conn, h.tls = conn, true
	h.r.Reset(conn)
	h.w.Reset(conn)
	h.style, h.contexts, h.contextsFor = simple, nil, ""
	return nil
}

// demandTLS refuses any other option as long as TLS is required and has not begun.
func (h *handshake) demandTLS(o option) error {
	if o == optExportName || !h.fixed {
		return errTLSNeeded
	}
	return h.reply(o, repErrTLSReqd, nil)
}
