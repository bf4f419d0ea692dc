package nbd

import (
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// readTick is how long a transport waits for data before it tells its user that there was none, so that limits on time
// can be checked.
const readTick = 5 * time.Second

// transport carries the bytes of one connection in the transmission phase. Read is called by one goroutine at a time,
// Write too; the others from anywhere, at any time before Close.
type transport interface {
	// Read waits for data and returns what there is. After about readTick without any it returns an error that wraps
	// os.ErrDeadlineExceeded, and can be called again.
	Read(p []byte) (int, error)

	// Write sends all of p, or fails; it fails when the client takes nothing for the stall timeout.
	Write(p []byte) (int, error)

	// WriteAll sends all of bufs, in order, and may change the slice itself.
	WriteAll(bufs net.Buffers) error

	// StopReading makes Read return io.EOF, at the latest when what has arrived is read.
	StopReading()

	// Abort makes Read and Write fail.
	Abort()

	// Close ends the connection, in order where the transport has one (TLS). Nobody else may use it any more.
	Close() error
}

// netTransport is a transport over any net.Conn; used for TLS.
type netTransport struct {
	conn    net.Conn
	stall   time.Duration
	stopped atomic.Bool
}

func (t *netTransport) Read(p []byte) (int, error) {
	if err := t.conn.SetReadDeadline(time.Now().Add(readTick)); err != nil {
		return 0, err
	}
	if t.stopped.Load() {
		return 0, io.EOF
	}
	n, err := t.conn.Read(p)
	if n > 0 {
		return n, nil
	}
	if err != nil && t.stopped.Load() {
		return 0, io.EOF
	}
	return 0, err
}

func (t *netTransport) Write(p []byte) (int, error) {
	if err := t.conn.SetWriteDeadline(time.Now().Add(t.stall)); err != nil {
		return 0, err
	}
	return t.conn.Write(p)
}

func (t *netTransport) WriteAll(bufs net.Buffers) error {
	for _, b := range bufs {
		if _, err := t.Write(b); err != nil {
			return err
		}
	}
	return nil
}

func (t *netTransport) StopReading() {
	t.stopped.Store(true)
	_ = t.conn.SetReadDeadline(time.Now())
}

func (t *netTransport) Abort() {
	t.stopped.Store(true)
	if c, ok := t.conn.(interface{ NetConn() net.Conn }); ok {
		_ = c.NetConn().Close() // closing the TLS connection itself would wait for the client
		return
	}
	_ = t.conn.Close()
}

func (t *netTransport) Close() error { return t.conn.Close() }

// isTick reports whether err of Read only says that nothing came.
func isTick(err error) bool {
	return err != nil && os.IsTimeout(err)
}
