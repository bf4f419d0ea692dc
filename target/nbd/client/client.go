package client

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
)

// Numbers of proto.md, sections "Request types", "Command flags" and "Transmission flags".
const (
	magicRequest = 0x25609513
	magicSimple  = 0x67446698

	cmdRead        = 0
	cmdWrite       = 1
	cmdDisconnect  = 2
	cmdFlush       = 3
	cmdTrim        = 4
	cmdWriteZeroes = 6

	cmdFlagFUA    = 1 << 0
	cmdFlagNoHole = 1 << 1

	FlagReadOnly  = 1 << 1
	FlagFlush     = 1 << 2
	FlagFUA       = 1 << 3
	FlagMultiConn = 1 << 8
)

// ErrDisconnected is the outcome of requests whose connection ended before their answer. Whether the server did them
// is not known.
var ErrDisconnected = errors.New("connection ended before the answer")

// Client is one connection to one export. Its methods may be called from any number of goroutines; each call is one
// request, and all of them are in flight together.
type Client struct {
	Info
	conn   net.Conn
	joined chan struct{} // closed when the receiver has ended

	send sync.Mutex // serialises requests on conn

	mu struct {
		sync.Mutex
		last    uint64
		pending map[uint64]*call
		broken  error // why no more requests can be sent
	}
}

type call struct {
	read []byte // where the payload of the answer goes
	done chan error
}

// Dial connects to the server at addr and enters the transmission phase of export.
func Dial(addr, export string) (*Client, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &Client{conn: conn, joined: make(chan struct{})}
	c.mu.pending = map[uint64]*call{}
	if err = greet(conn); err == nil {
		c.Info, err = goExport(conn, export)
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("nbd://%s/%s: %w", addr, export, err)
	}
	go c.receive()
	return c, nil
}

// Close says goodbye, ends the connection and waits for the receiver. A connection that has ended already is no error.
func (c *Client) Close() error {
	_ = c.write(0, cmdDisconnect, 0, 0, 0, nil)
	err := c.conn.Close()
	<-c.joined
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// ReadAt fills p with the export's content at off.
func (c *Client) ReadAt(p []byte, off int64) error {
	return c.do(cmdRead, 0, off, len(p), nil, p)
}

// WriteAt stores p at off; with fua it is on stable storage on return.
func (c *Client) WriteAt(p []byte, off int64, fua bool) error {
	return c.do(cmdWrite, fuaFlag(fua), off, len(p), p, nil)
}

// Flush returns after all writes answered before are on stable storage.
func (c *Client) Flush() error { return c.do(cmdFlush, 0, 0, 0, nil, nil) }

// Trim discards n bytes at off.
func (c *Client) Trim(off, n int64, fua bool) error {
	return c.do(cmdTrim, fuaFlag(fua), off, int(n), nil, nil)
}

// WriteZeroes makes n bytes at off read as zeroes. With keep the range stays allocated.
func (c *Client) WriteZeroes(off, n int64, fua, keep bool) error {
	flags := fuaFlag(fua)
	if keep {
		flags |= cmdFlagNoHole
	}
	return c.do(cmdWriteZeroes, flags, off, int(n), nil, nil)
}

func fuaFlag(fua bool) uint16 {
	if fua {
		return cmdFlagFUA
	}
	return 0
}

func (c *Client) do(cmd, flags uint16, off int64, n int, payload, read []byte) error {
	p := &call{read: read, done: make(chan error, 1)}
	c.mu.Lock()
	if err := c.mu.broken; err != nil {
		c.mu.Unlock()
		return err
	}
	c.mu.last++
	cookie := c.mu.last
	c.mu.pending[cookie] = p
	c.mu.Unlock()
	if err := c.write(cookie, cmd, flags, off, n, payload); err != nil {
		c.fail(err)
	}
	return <-p.done
}

func (c *Client) write(cookie uint64, cmd, flags uint16, off int64, n int, payload []byte) error {
	var b [28]byte
	binary.BigEndian.PutUint32(b[0:], magicRequest)
	binary.BigEndian.PutUint16(b[4:], flags)
	binary.BigEndian.PutUint16(b[6:], cmd)
	binary.BigEndian.PutUint64(b[8:], cookie)
	binary.BigEndian.PutUint64(b[16:], uint64(off))
	binary.BigEndian.PutUint32(b[24:], uint32(n))
	c.send.Lock()
	defer c.send.Unlock()
	bufs := net.Buffers{b[:]}
	if len(payload) > 0 {
		bufs = append(bufs, payload)
	}
	_, err := bufs.WriteTo(c.conn)
	return err
}

// receive hands answers to their calls until the connection ends.
func (c *Client) receive() {
	defer close(c.joined)
	for {
		if err := c.receiveOne(); err != nil {
			c.fail(err)
			return
		}
	}
}

func (c *Client) receiveOne() error {
	var b [16]byte
	if _, err := io.ReadFull(c.conn, b[:]); err != nil {
		return err
	}
	if m := binary.BigEndian.Uint32(b[:]); m != magicSimple {
		return fmt.Errorf("reply starts with %#x, want %#x", m, uint32(magicSimple))
	}
	cookie := binary.BigEndian.Uint64(b[8:])
	c.mu.Lock()
	p := c.mu.pending[cookie]
	delete(c.mu.pending, cookie)
	c.mu.Unlock()
	if p == nil {
		return fmt.Errorf("reply to request %d, which is not in flight", cookie)
	}
	if errno := binary.BigEndian.Uint32(b[4:]); errno != 0 {
		p.done <- syscall.Errno(errno)
		return nil
	}
	if _, err := io.ReadFull(c.conn, p.read); err != nil {
		p.done <- fmt.Errorf("%w: %w", ErrDisconnected, err)
		return err
	}
	p.done <- nil
	return nil
}

// fail ends the connection: everything in flight gets ErrDisconnected, and so does what is sent later.
func (c *Client) fail(err error) {
	_ = c.conn.Close()
	c.mu.Lock()
	if c.mu.broken == nil {
		c.mu.broken = fmt.Errorf("%w: %w", ErrDisconnected, err)
	}
	lost, why := c.mu.pending, c.mu.broken
	c.mu.pending = map[uint64]*call{}
	c.mu.Unlock()
	for _, p := range lost {
		p.done <- why
	}
}
