package system

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirstor/weir/tests/harness"
)

// Nothing that a stranger sends to a port ends the process, makes it take much memory, or disturbs others
// (guarantee G11).
func TestBadInput(t *testing.T) {
	ctx := testContext(t, 5*time.Minute)
	// The attacks aim at v, and a spoiled request may still be a sound one that changes it; nothing may reach the other.
	d := start(t, ctx, upSpec(t, "--volume", "v:64M", "--volume", "untouched:64M"))
	good := dialNBD(t, d, "untouched")
	want := bytes.Repeat([]byte("weir"), 1<<10)
	if err := good.WriteAt(want, 8192, true); err != nil {
		t.Fatal(err)
	}
	before := residentBytes(t, d)
	ports := map[string]string{"nbd": d.Addresses.NBD, "iscsi": d.Addresses.ISCSI, "admin": d.Addresses.Admin}
	if d.Addresses.Provider != "" {
		ports["provider"] = d.Addresses.Provider
	}
	for name, addr := range ports {
		t.Run(name, func(t *testing.T) {
			for _, in := range badInputs(newRand(t), name) {
				throw(t, addr, in)
				if !d.Alive() {
					t.Fatalf("the process died of %d bytes starting %q\n%s", len(in), in[:min(len(in), 64)], d.LogTail())
				}
			}
			got := make([]byte, len(want))
			if err := good.ReadAt(got, 8192); err != nil || !bytes.Equal(got, want) {
				t.Errorf("another connection reads something else: %v", err)
			}
		})
	}
	if grown := residentBytes(t, d) - before; grown > 512<<20 {
		t.Errorf("the process grew by %d MiB", grown>>20)
	}
}

// badInputs are random bytes, sound beginnings cut short or spoiled, and lengths beyond reason.
func badInputs(rng *rand.Rand, port string) [][]byte {
	var all [][]byte
	for range 40 {
		b := make([]byte, 1+rng.IntN(2000))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		all = append(all, b)
	}
	for _, sound := range soundInputs(port) {
		for range 30 {
			all = append(all, sound[:rng.IntN(len(sound)+1)])
			spoiled := bytes.Clone(sound)
			for range 1 + rng.IntN(3) {
				spoiled[rng.IntN(len(spoiled))] = byte(rng.Uint32())
			}
			all = append(all, spoiled)
		}
	}
	return all
}

// soundInputs are what a client could send, some of it with lengths that no server should believe.
func soundInputs(port string) [][]byte {
	switch port {
	case "nbd":
		return nbdInputs()
	case "iscsi":
		return iscsiInputs()
	default:
		return [][]byte{
			[]byte("GET /api/v1/status HTTP/1.1\r\nHost: a\r\n\r\n"),
			[]byte("POST /api/v1/volumes HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n{"),
			[]byte("POST /api/v1/volumes HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n{\"name\":\"x\",\"size\":1}"),
			[]byte("GET /" + strings.Repeat("../", 2000) + "etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n"),
			append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 0xff, 0xff, 0xff, 4, 0, 0, 0, 0, 0),
			{0x16, 3, 1, 0xff, 0xff, 1, 0, 0xff, 0xff, 3, 3}, // TLS record that claims 64 KiB
		}
	}
}

func nbdInputs() [][]byte {
	flags := binary.BigEndian.AppendUint32(nil, 3)
	option := func(number uint32, length uint32, data string) []byte {
		b := binary.BigEndian.AppendUint64(nil, 0x49484156454f5054)
		b = binary.BigEndian.AppendUint32(b, number)
		b = binary.BigEndian.AppendUint32(b, length)
		return append(b, data...)
	}
	request := func(command uint16, off uint64, length uint32) []byte {
		b := binary.BigEndian.AppendUint32(nil, 0x25609513)
		b = binary.BigEndian.AppendUint16(b, 0)
		b = binary.BigEndian.AppendUint16(b, command)
		b = binary.BigEndian.AppendUint64(b, 1)
		b = binary.BigEndian.AppendUint64(b, off)
		return binary.BigEndian.AppendUint32(b, length)
	}
	join := func(parts ...[]byte) []byte { return bytes.Join(append([][]byte{flags}, parts...), nil) }
	enter := option(1, 1, "v") // EXPORT_NAME
	all := [][]byte{
		join(option(3, 0, "")), join(option(7, 7, "\x00\x00\x00\x01v\x00\x00")), join(option(7, 0xffffffff, "x")),
		join(option(7, 6, "\xff\xff\xff\xff\x00\x00")), join(option(99, 1<<30, "")), join(option(1, 70000, strings.Repeat("n", 70000))),
	}
	for command := range uint16(10) {
		for _, r := range [][]byte{
			request(command, 0, 4096), request(command, 1<<63, 4096), request(command, 64<<20, 1),
			request(command, 0, 0xffffffff), request(command, 0xfffffffffffffff0, 0x20),
		} {
			all = append(all, join(enter, r, make([]byte, 512)))
		}
	}
	return all
}

func iscsiInputs() [][]byte {
	pdu := func(opcode, flags byte, dataLength int, data string) []byte {
		b := make([]byte, 48, 48+len(data)+3)
		b[0], b[1] = opcode, flags
		b[5], b[6], b[7] = byte(dataLength>>16), byte(dataLength>>8), byte(dataLength)
		b = append(b, data...)
		return append(b, make([]byte, -len(data)&3)...)
	}
	keys := "InitiatorName=iqn.2026-11.io.weir:test\x00SessionType=Normal\x00TargetName=iqn.2026-11.io.weir:v\x00AuthMethod=None\x00"
	login := pdu(0x43, 0x87, len(keys), keys)
	all := [][]byte{
		login, pdu(0x43, 0x87, 0xffffff, keys), pdu(0x43, 0x87, 5, "A=B\x00C"), pdu(0x43, 0x81, 3, "\x00\x00\x00"),
		pdu(0x43, 0x87, len(keys)-1, keys[:len(keys)-1]), pdu(0x43, 0, 0, ""),
	}
	for opcode := range byte(0x20) {
		all = append(all,
			append(bytes.Clone(login), pdu(opcode, 0x80, 0, "")...),
			append(bytes.Clone(login), pdu(opcode, 0xe1, 0xffffff, strings.Repeat("d", 600))...),
			pdu(opcode, 0x80, 16, "sixteen bytes..."))
	}
	return all
}

// throw sends in, reads what comes back within a moment, and hangs up.
func throw(t *testing.T, addr string, in []byte) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatalf("the port does not accept any more: %v", err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write(in); err != nil {
		return // the server hung up on it
	}
	_ = conn.(*net.TCPConn).CloseWrite()
	_, _ = io.Copy(io.Discard, io.LimitReader(conn, 1<<20))
}

// residentBytes returns the memory of the process.
func residentBytes(t *testing.T, d *harness.Daemon) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", d.PID()))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}
