package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// ErrTLSRequired says that the server wants TLS, which this client does not speak.
var ErrTLSRequired = errors.New("the server requires TLS")

const repErrTLSRequired = repError | 5 // NBD_REP_ERR_TLS_REQD

// Handshake connects to a server ("tcp" or "unix") and enters the transmission phase of an export. The connection is
// then the caller's, nothing was sent or read on it behind the handshake; for handing it to a kernel.
func Handshake(ctx context.Context, network, addr, export string) (net.Conn, Info, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, Info{}, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	info, err := enter(conn, export)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, Info{}, errors.Join(fmt.Errorf("export %s at %s: %w", export, addr, err), conn.Close())
	}
	return conn, info, nil
}

func enter(conn net.Conn, export string) (Info, error) {
	if err := greet(conn); err != nil {
		return Info{}, err
	}
	info, err := goExport(conn, export)
	var refused *OptionError
	if errors.As(err, &refused) && refused.Type == repErrTLSRequired {
		err = fmt.Errorf("%w: %w", ErrTLSRequired, err)
	}
	return info, err
}
