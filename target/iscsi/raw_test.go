package iscsi_test

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/weirstor/weir/target/iscsi"
	"github.com/weirstor/weir/target/iscsi/wire"
)

// raw is a client that sends whatever a test wants.
type raw struct {
	t     testing.TB
	nc    net.Conn
	rd    *wire.Reader
	cmdSN uint32
}

func dialRaw(t testing.TB, addr string) *raw {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	r := &raw{t: t, nc: nc, rd: wire.NewReader(nc, 4096), cmdSN: 1}
	r.rd.MaxData = 1 << 24
	return r
}

// send writes a PDU; a test that expects the connection to break does not care whether it did.
func (r *raw) send(h *wire.Header, data []byte) {
	_, _ = r.nc.Write(wire.AppendPDU(nil, h, data, r.rd.HeaderDigest, r.rd.DataDigest))
}

// receive returns the next PDU.
func (r *raw) receive() (wire.Header, []byte) {
	r.t.Helper()
	h, data, err := r.next()
	if err != nil {
		r.t.Fatalf("receiving: %v", err)
	}
	return h, data
}

func (r *raw) next() (wire.Header, []byte, error) {
	var h wire.Header
	if _, err := r.rd.Next(&h); err != nil {
		return h, nil, err
	}
	data := make([]byte, h.DataLen())
	return h, data, r.rd.Data(data, len(data))
}

// ends waits until the server closes the connection; whatever it says before is dropped.
func (r *raw) ends() {
	r.t.Helper()
	for {
		_, _, err := r.next()
		var ne net.Error
		switch {
		case err == nil:
		case errors.As(err, &ne) && ne.Timeout():
			r.t.Fatal("the server did not end the connection")
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), true:
			return
		}
	}
}

// loginHeader is a login request from stage csg to nsg.
func loginHeader(csg, nsg byte) *wire.Header {
	var h wire.Header
	h.SetOpcode(wire.LoginReq)
	h.SetImmediate()
	h.SetFlags(wire.Transit | csg<<2 | nsg)
	copy(h[wire.OffISID:], []byte{0x80, 1, 2, 3, 4, 5})
	h.SetITT(7)
	h.SetWord(wire.OffCmdSN, 1)
	return &h
}

func pairs(kv ...string) []byte {
	var b []byte
	for i := 0; i < len(kv); i += 2 {
		b = wire.AppendText(b, wire.Pair{Key: kv[i], Value: kv[i+1]})
	}
	return b
}

// login goes straight to full feature phase.
func (r *raw) login(volume string, extra ...string) []wire.Pair {
	r.t.Helper()
	kv := append([]string{"InitiatorName", "iqn.2026-11.io.weir.test:raw", "SessionType", "Normal",
		"TargetName", iscsi.IQN(volume), "MaxRecvDataSegmentLength", "65536"}, extra...)
	r.send(loginHeader(1, 3), pairs(kv...))
	h, data := r.receive()
	if status := h.Word(wire.OffLoginState) >> 16; status != 0 || h.Flags()&3 != 3 {
		r.t.Fatalf("login status %#04x, flags %#02x", status, h.Flags())
	}
	answer, err := wire.ParseText(data)
	if err != nil {
		r.t.Fatal(err)
	}
	header, _ := wire.Lookup(answer, "HeaderDigest")
	content, _ := wire.Lookup(answer, "DataDigest")
	r.rd.HeaderDigest, r.rd.DataDigest = header == "CRC32C", content == "CRC32C"
	r.command([]byte{0: 0}, 0, 0, nil) // takes the unit attention
	r.receive()
	return answer
}

// command sends a SCSI command with immediate data.
func (r *raw) command(cdb []byte, flags byte, edtl int, data []byte) *wire.Header {
	h := r.commandHeader(cdb, flags|wire.Final, edtl)
	r.send(h, data)
	return h
}

func (r *raw) commandHeader(cdb []byte, flags byte, edtl int) *wire.Header {
	var h wire.Header
	h.SetOpcode(wire.SCSICommand)
	h.SetFlags(flags)
	h.SetITT(r.cmdSN + 1000)
	h.SetWord(wire.OffEDTL, uint32(edtl))
	h.SetWord(wire.OffCmdSN, r.cmdSN)
	copy(h[wire.OffCDB:], cdb)
	r.cmdSN++
	return &h
}

func read10(lba uint32, blocks uint16) []byte  { return rw10(0x28, lba, blocks) }
func write10(lba uint32, blocks uint16) []byte { return rw10(0x2a, lba, blocks) }

func rw10(op byte, lba uint32, blocks uint16) []byte {
	cdb := make([]byte, 16)
	cdb[0] = op
	binary.BigEndian.PutUint32(cdb[2:], lba)
	binary.BigEndian.PutUint16(cdb[7:], blocks)
	return cdb
}
