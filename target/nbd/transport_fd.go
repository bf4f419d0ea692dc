package nbd

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// fdTransport is a transport on a blocking socket. Its Read and Write are the system calls themselves: the kernel
// wakes the thread that waits, and the Go scheduler has no part in it.
type fdTransport struct {
	fd int
}

// newTransport takes conn over: the connection itself where it is a plain socket, else a net.Conn.
func newTransport(conn net.Conn, stall time.Duration) (transport, error) {
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	switch c := conn.(type) {
	case *net.TCPConn:
		return newFDTransport(c, stall)
	case *net.UnixConn:
		return newFDTransport(c, stall)
	}
	return &netTransport{conn: conn, stall: stall}, nil
}

// newFDTransport takes a copy of the descriptor of c, closes c, and makes the socket blocking.
func newFDTransport(c syscall.Conn, stall time.Duration) (*fdTransport, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd, dupErr := -1, error(nil)
	err = raw.Control(func(s uintptr) { fd, dupErr = unix.FcntlInt(s, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(err, dupErr); err != nil {
		return nil, fmt.Errorf("take over socket: %w", err)
	}
	if closer, ok := c.(io.Closer); ok {
		_ = closer.Close() // the copy keeps the socket alive
	}
	t := &fdTransport{fd: fd}
	if err := t.prepare(stall); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("prepare socket: %w", err)
	}
	return t, nil
}

func (t *fdTransport) prepare(stall time.Duration) error {
	if err := unix.SetNonblock(t.fd, false); err != nil {
		return err
	}
	tick := unix.NsecToTimeval(int64(readTick))
	if err := unix.SetsockoptTimeval(t.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tick); err != nil {
		return err
	}
	limit := unix.NsecToTimeval(int64(max(stall, time.Millisecond)))
	return unix.SetsockoptTimeval(t.fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit)
}

func (t *fdTransport) Read(p []byte) (int, error) {
	for {
		n, err := syscall.Read(t.fd, p)
		switch {
		case n > 0:
			return n, nil
		case err == nil:
			return 0, io.EOF
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return 0, os.ErrDeadlineExceeded
		default:
			return 0, os.NewSyscallError("read", err)
		}
	}
}

func (t *fdTransport) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n, err := syscall.Write(t.fd, p[done:])
		if n > 0 {
			done += n
			continue
		}
		if err := writeError(err); err != nil {
			return done, err
		}
	}
	return done, nil
}

func (t *fdTransport) WriteAll(bufs net.Buffers) error {
	const most = 64 // buffers in one call; the kernel takes up to 1024
	for len(bufs) > 0 {
		n, err := unix.Writev(t.fd, bufs[:min(len(bufs), most)])
		if n <= 0 {
			if err := writeError(err); err != nil {
				return err
			}
			continue
		}
		for n > 0 && n >= len(bufs[0]) {
			n -= len(bufs[0])
			bufs = bufs[1:]
		}
		if n > 0 {
			bufs[0] = bufs[0][n:]
		}
	}
	return nil
}

// writeError is nil if the call shall be made again.
func writeError(err error) error {
	switch err {
	case syscall.EINTR:
		return nil
	case syscall.EAGAIN:
		return fmt.Errorf("client does not take its replies: %w", os.ErrDeadlineExceeded)
	case nil:
		return io.ErrShortWrite
	}
	return os.NewSyscallError("write", err)
}

func (t *fdTransport) StopReading() { _ = unix.Shutdown(t.fd, unix.SHUT_RD) }

func (t *fdTransport) Abort() { _ = unix.Shutdown(t.fd, unix.SHUT_RDWR) }

func (t *fdTransport) Close() error { return unix.Close(t.fd) }

// isExhausted reports whether err says that the process or the system is out of descriptors or memory at the moment.
func isExhausted(err error) bool {
	for _, e := range []error{unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
