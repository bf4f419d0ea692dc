package client

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
)

// Numbers of proto.md, sections "Newstyle negotiation", "Option types" and "Option reply types".
const (
	magicServer  = 0x4e42444d41474943 // "NBDMAGIC"
	magicOption  = 0x49484156454f5054 // "IHAVEOPT"
	magicReply   = 0x3e889045565a9
	flagFixed    = 1 << 0
	flagNoZeroes = 1 << 1
	optAbort     = 2
	optList      = 3
	optGo        = 7
	repAck       = 1
	repServer    = 2
	repInfo      = 3
	repError     = 1 << 31
	infoExport   = 0
	infoBlock    = 3

	optionReplyMax = 64 << 10
)

// OptionError is a negative answer to an option.
type OptionError struct {
	Type    uint32 // reply type of proto.md, with bit 31 set
	Message string
}

func (e *OptionError) Error() string {
	return fmt.Sprintf("server refused the option: reply %#x: %s", e.Type, e.Message)
}

// greet reads the server's greeting and answers it.
func greet(conn net.Conn) error {
	var b [18]byte
	if _, err := io.ReadFull(conn, b[:]); err != nil {
		return fmt.Errorf("greeting: %w", err)
	}
	if m := binary.BigEndian.Uint64(b[:]); m != magicServer {
		return fmt.Errorf("greeting starts with %#x, want %#x", m, uint64(magicServer))
	}
	if m := binary.BigEndian.Uint64(b[8:]); m != magicOption {
		return fmt.Errorf("greeting: style %#x, want newstyle %#x", m, uint64(magicOption))
	}
	flags := binary.BigEndian.Uint16(b[16:])
	if flags&flagFixed == 0 {
		return fmt.Errorf("server flags %#x: no fixed newstyle", flags)
	}
	return binary.Write(conn, binary.BigEndian, uint32(flags&(flagFixed|flagNoZeroes)))
}

func sendOption(conn net.Conn, option uint32, data []byte) error {
	b := binary.BigEndian.AppendUint64(nil, magicOption)
	b = binary.BigEndian.AppendUint32(b, option)
	b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
	_, err := conn.Write(append(b, data...))
	return err
}

// readReply reads one option reply. A negative one is returned as *OptionError.
func readReply(conn net.Conn, option uint32) (typ uint32, data []byte, err error) {
	var b [20]byte
	if _, err := io.ReadFull(conn, b[:]); err != nil {
		return 0, nil, fmt.Errorf("option reply: %w", err)
	}
	if m := binary.BigEndian.Uint64(b[:]); m != magicReply {
		return 0, nil, fmt.Errorf("option reply starts with %#x, want %#x", m, uint64(magicReply))
	}
	if o := binary.BigEndian.Uint32(b[8:]); o != option {
		return 0, nil, fmt.Errorf("reply to option %d, want %d", o, option)
	}
	n := binary.BigEndian.Uint32(b[16:])
	if n > optionReplyMax {
		return 0, nil, fmt.Errorf("option reply of %d bytes, at most %d expected", n, optionReplyMax)
	}
	data = make([]byte, n)
	if _, err := io.ReadFull(conn, data); err != nil {
		return 0, nil, fmt.Errorf("option reply: %w", err)
	}
	typ = binary.BigEndian.Uint32(b[12:])
	if typ&repError != 0 {
		return typ, data, &OptionError{Type: typ, Message: string(data)}
	}
	return typ, data, nil
}

// Info is what the server told about an export.
type Info struct {
	Size      int64  // bytes
	Flags     uint16 // transmission flags of proto.md
	BlockMin  uint32 // bytes; 0 when the server did not say
	BlockPref uint32
	BlockMax  uint32
}

// goExport asks for the transmission phase of export name (NBD_OPT_GO).
func goExport(conn net.Conn, name string) (Info, error) {
	data := binary.BigEndian.AppendUint32(nil, uint32(len(name)))
	data = append(data, name...)
	data = binary.BigEndian.AppendUint16(data, 1)
	data = binary.BigEndian.AppendUint16(data, infoBlock)
	if err := sendOption(conn, optGo, data); err != nil {
		return Info{}, err
	}
	var info Info
	seen := false
	for {
		typ, data, err := readReply(conn, optGo)
		switch {
		case err != nil:
			return Info{}, err
		case typ == repAck && !seen:
			return Info{}, fmt.Errorf("server acknowledged %q without its size", name)
		case typ == repAck:
			return info, nil
		case typ == repInfo:
			seen = info.parse(data) || seen
		}
	}
}

// parse reads one information reply; it reports whether it was the one with size and flags.
func (i *Info) parse(data []byte) bool {
	switch {
	case len(data) == 12 && binary.BigEndian.Uint16(data) == infoExport:
		i.Size = int64(binary.BigEndian.Uint64(data[2:]))
		i.Flags = binary.BigEndian.Uint16(data[10:])
		return true
	case len(data) == 14 && binary.BigEndian.Uint16(data) == infoBlock:
		i.BlockMin = binary.BigEndian.Uint32(data[2:])
		i.BlockPref = binary.BigEndian.Uint32(data[6:])
		i.BlockMax = binary.BigEndian.Uint32(data[10:])
	}
	return false
}

// List returns the names of the exports of the server at addr.
func List(addr string) ([]string, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	if err := greet(conn); err != nil {
		return nil, err
	}
	if err := sendOption(conn, optList, nil); err != nil {
		return nil, err
	}
	var names []string
	for {
		typ, data, err := readReply(conn, optList)
		if err != nil {
			return nil, err
		}
		if typ == repAck {
			return names, sendOption(conn, optAbort, nil)
		}
		if typ != repServer || len(data) < 4 || int(binary.BigEndian.Uint32(data)) > len(data)-4 {
			return nil, fmt.Errorf("LIST: malformed reply of type %#x, %d bytes", typ, len(data))
		}
		names = append(names, string(data[4:4+binary.BigEndian.Uint32(data)]))
	}
}
