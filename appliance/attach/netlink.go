package attach

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Names and numbers of linux/nbd-netlink.h.
const (
	familyName = "nbd"
	groupName  = "nbd_mc_group"

	cmdConnect     = 1
	cmdDisconnect  = 2
	cmdReconfigure = 3
	cmdLinkDead    = 4

	attrIndex       = 1
	attrSize        = 2
	attrBlockSize   = 3
	attrTimeout     = 4 // seconds
	attrServerFlags = 5
	attrSockets     = 7
	attrDeadConn    = 8 // seconds

	sockItem = 1
	sockFD   = 1
)

// ErrNoKernel says that the kernel has no NBD client, or not one that can be steered by netlink.
var ErrNoKernel = errors.New("this kernel has no NBD client")

// kernel talks to the NBD client of the kernel. It is not for concurrent use.
type kernel struct {
	conn   *genetlink.Conn
	family genetlink.Family
}

func openKernel() (*kernel, error) {
	c, err := genetlink.Dial(nil)
	if err != nil {
		return nil, fmt.Errorf("netlink: %w", err)
	}
	f, err := c.GetFamily(familyName)
	if errors.Is(err, os.ErrNotExist) {
		err = fmt.Errorf("%w: %w", ErrNoKernel, err)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("netlink family %s: %w", familyName, err), c.Close())
	}
	return &kernel{c, f}, nil
}

func (k *kernel) close() { _ = k.conn.Close() }

// device is what the kernel is told of a volume.
type device struct {
	index       int // -1: any that is free
	size        int64
	blockSize   int
	serverFlags uint16
	timeout     time.Duration // of a request on one connection
	deadConn    time.Duration // that requests wait for a new connection when there is none
}

// connect makes a block device of sockets and returns its number. The kernel takes the sockets; the caller closes its own.
func (k *kernel) connect(d device, sockets []*os.File) (int, error) {
	e := netlink.NewAttributeEncoder()
	if d.index >= 0 {
		e.Uint32(attrIndex, uint32(d.index))
	}
	e.Uint64(attrSize, uint64(d.size))
	e.Uint64(attrBlockSize, uint64(d.blockSize))
	e.Uint64(attrServerFlags, uint64(d.serverFlags))
	e.Uint64(attrTimeout, uint64(d.timeout/time.Second))
	e.Uint64(attrDeadConn, uint64(d.deadConn/time.Second))
	e.Nested(attrSockets, nest(sockets))
	reply, err := k.call(cmdConnect, e, netlink.Request) // the answer is the acknowledgement
	if err != nil {
		return 0, err
	}
	for _, m := range reply {
		if index, ok := indexOf(m); ok {
			return index, nil
		}
	}
	return 0, errors.New("the kernel does not say which device it has made")
}

// reconfigure gives device index a new connection in the place of a broken one.
func (k *kernel) reconfigure(index int, socket *os.File) error {
	e := netlink.NewAttributeEncoder()
	e.Uint32(attrIndex, uint32(index))
	e.Nested(attrSockets, nest([]*os.File{socket}))
	_, err := k.call(cmdReconfigure, e, netlink.Request|netlink.Acknowledge)
	return err
}

// disconnect ends device index.
func (k *kernel) disconnect(index int) error {
	e := netlink.NewAttributeEncoder()
	e.Uint32(attrIndex, uint32(index))
	_, err := k.call(cmdDisconnect, e, netlink.Request|netlink.Acknowledge)
	return err
}

func (k *kernel) call(cmd uint8, e *netlink.AttributeEncoder, flags netlink.HeaderFlags) ([]genetlink.Message, error) {
	b, err := e.Encode()
	if err != nil {
		return nil, err
	}
	m := genetlink.Message{Header: genetlink.Header{Command: cmd, Version: k.family.Version}, Data: b}
	reply, err := k.conn.Execute(m, k.family.ID, flags)
	if errors.Is(err, unix.EPERM) {
		return nil, fmt.Errorf("%w: only root can make block devices", os.ErrPermission)
	}
	return reply, err
}

// nest encodes a list of sockets.
func nest(sockets []*os.File) func(*netlink.AttributeEncoder) error {
	return func(list *netlink.AttributeEncoder) error {
		for _, s := range sockets {
			list.Nested(sockItem, func(item *netlink.AttributeEncoder) error {
				item.Uint32(sockFD, uint32(s.Fd()))
				return nil
			})
		}
		return nil
	}
}

// indexOf reads the device number from a message.
func indexOf(m genetlink.Message) (int, bool) {
	d, err := netlink.NewAttributeDecoder(m.Data)
	if err != nil {
		return 0, false
	}
	index, found := 0, false
	for d.Next() {
		if d.Type() == attrIndex {
			index, found = int(d.Uint32()), true
		}
	}
	return index, found && d.Err() == nil
}

// lookAfter is how long nothing is heard before the device is looked at.
const lookAfter = 5 * time.Second

// listen subscribes to what the kernel tells of connections that break.
func (k *kernel) listen() error {
	for _, g := range k.family.Groups {
		if g.Name == groupName {
			return k.conn.JoinGroup(g.ID)
		}
	}
	return fmt.Errorf("%w: it does not tell of connections that break", ErrNoKernel)
}

// nextDead waits until a connection of device index breaks, or the device is no more: os.ErrNotExist.
func (k *kernel) nextDead(index int) error {
	for {
		if err := k.conn.SetReadDeadline(time.Now().Add(lookAfter)); err != nil {
			return err
		}
		messages, _, err := k.conn.Receive()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if gone(index) { // the kernel does not tell of that
				return os.ErrNotExist
			}
			continue
		}
		if err != nil {
			return err
		}
		for _, m := range messages {
			if got, ok := indexOf(m); m.Header.Command == cmdLinkDead && ok && got == index {
				return nil
			}
		}
	}
}
