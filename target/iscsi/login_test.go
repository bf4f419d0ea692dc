package iscsi_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/weirstor/weir/target/iscsi"
	"github.com/weirstor/weir/target/iscsi/initiator"
	"github.com/weirstor/weir/target/iscsi/wire"
	"github.com/weirstor/weir/target/memory"
)

func TestIQN(t *testing.T) {
	if got := iscsi.IQN("disk1"); got != "iqn.2026-11.io.weir:disk1" {
		t.Error(got)
	}
	for iqn, want := range map[string]string{
		"iqn.2026-11.io.weir:disk1": "disk1", "IQN.2026-11.IO.WEIR:disk1": "disk1", "iqn.2026-11.io.weir:": "",
		"iqn.2026-11.io.other:disk1": "", "": "", "iqn.2026-11.io.weir:a:b": "a:b",
	} {
		if got, ok := iscsi.VolumeOf(iqn); got != want || ok != (want != "") {
			t.Errorf("VolumeOf(%q) = %q, %v; want %q", iqn, got, ok, want)
		}
	}
}

// What each key is answered with (RFC 7143, section 13).
func TestNegotiation(t *testing.T) {
	addr, _ := newDisk(t, mib, 512)
	r := dialRaw(t, addr)
	answer := r.login("v",
		"HeaderDigest", "None", "DataDigest", "CRC32C,None", "InitialR2T", "No", "ImmediateData", "Yes",
		"MaxBurstLength", "16776192", "FirstBurstLength", "262144", "MaxOutstandingR2T", "1000", "MaxConnections", "4",
		"ErrorRecoveryLevel", "2", "DefaultTime2Wait", "0", "DefaultTime2Retain", "20", "DataPDUInOrder", "No",
		"DataSequenceInOrder", "No", "IFMarker", "Yes", "OFMarker", "Yes", "OFMarkInt", "1~65535",
		"X-com.example.thing", "1", "iSCSIProtocolLevel", "2", "TaskReporting", "FastAbort,RFC3720")
	want := map[string]string{
		"TargetPortalGroupTag": "1", "TargetAlias": "v", "HeaderDigest": "None", "DataDigest": "CRC32C", "InitialR2T": "No",
		"ImmediateData": "Yes", "MaxBurstLength": "1048576", "FirstBurstLength": "131072", "MaxOutstandingR2T": "8",
		"MaxConnections": "1", "ErrorRecoveryLevel": "0", "DefaultTime2Wait": "2", "DefaultTime2Retain": "0",
		"DataPDUInOrder": "Yes", "DataSequenceInOrder": "Yes", "IFMarker": "No", "OFMarker": "No", "OFMarkInt": "Reject",
		"X-com.example.thing": "NotUnderstood", "iSCSIProtocolLevel": "1", "TaskReporting": "RFC3720",
		"MaxRecvDataSegmentLength": "262144",
	}
	for _, p := range answer {
		if want[p.Key] != p.Value {
			t.Errorf("%s=%s, want %q", p.Key, p.Value, want[p.Key])
		}
		delete(want, p.Key)
	}
	for k, v := range want {
		t.Errorf("%s=%s was not answered", k, v)
	}
}

// The initiator's limits hold: no data segment is longer than it takes, no sequence longer than the burst, and the
// status comes with the last (gotgt ignores what was negotiated).
func TestLimitsOfInitiator(t *testing.T) {
	addr, _ := newDisk(t, mib, 512)
	r := dialRaw(t, addr)
	r.send(loginHeader(1, 3), pairs("InitiatorName", "iqn.2026-11.io.weir.test:raw", "TargetName", iscsi.IQN("v"),
		"MaxRecvDataSegmentLength", "1536", "MaxBurstLength", "4096"))
	r.receive()
	r.command([]byte{0: 0}, 0, 0, nil)
	r.receive()
	h := r.command(read10(0, 20), wire.CommandRead, 20*512, nil)
	var sizes []string
	for off := 0; off < 20*512; {
		d, data := r.receive()
		if d.Opcode() != wire.DataIn || d.ITT() != h.ITT() || int(d.Word(wire.OffBufferOff)) != off {
			t.Fatalf("opcode %#x at %d, want data at %d", d.Opcode(), d.Word(wire.OffBufferOff), off)
		}
		off += len(data)
		mark := ""
		if d.Final() {
			mark = "F"
		}
		if d.Flags()&wire.DataStatus != 0 {
			mark += "S"
		}
		sizes = append(sizes, fmt.Sprint(len(data), mark))
	}
	want := "1536 1536 1024F 1536 1536 1024F 1536 512FS"
	if got := strings.ReplaceAll(strings.Join(sizes, " "), " F", "F"); got != want {
		t.Errorf("data segments %s, want %s", got, want)
	}
}

// A login that can not be is refused with the status of RFC 7143, section 11.13.5.
func TestLoginRefused(t *testing.T) {
	name := []string{"InitiatorName", "iqn.2026-11.io.weir.test:raw"}
	with := func(kv ...string) []string { return append(append([]string(nil), name...), kv...) }
	own := func(i *iscsi.TargetInfo) {
		i.Access = iscsi.Access{Initiators: []string{"iqn.2026-11.io.weir.test:other"}}
	}
	secret := func(i *iscsi.TargetInfo) {
		i.Access = iscsi.Access{Users: []iscsi.Credential{{Name: "u", Secret: "longenoughsecret"}}}
	}
	addr, _ := serve(t, new(shelf).with("v", memory.New(mib, 512)).with("own", memory.New(mib, 512), own).
		with("secret", memory.New(mib, 512), secret), iscsi.Options{})
	cases := []struct {
		name   string
		change func(h *wire.Header)
		kv     []string
		status uint32
	}{
		{"no initiator", nil, []string{"TargetName", iscsi.IQN("v")}, 0x0207},
		{"no target", nil, name, 0x0207},
		{"unknown target", nil, with("TargetName", iscsi.IQN("nothing")), 0x0203},
		{"session type", nil, with("SessionType", "Strange"), 0x0209},
		{"forbidden", nil, with("TargetName", iscsi.IQN("own")), 0x0202},
		{"without authentication", nil, with("TargetName", iscsi.IQN("secret")), 0x0201},
		{"version", func(h *wire.Header) { h[3] = 1 }, with("TargetName", iscsi.IQN("v")), 0x0205},
		{"no such session", func(h *wire.Header) { h[15] = 9 }, with("TargetName", iscsi.IQN("v")), 0x020a},
		{"backwards", func(h *wire.Header) { h.SetFlags(wire.Transit | 1<<2) }, with("TargetName", iscsi.IQN("v")), 0x020b},
		{"stage 2", func(h *wire.Header) { h.SetFlags(wire.Transit | 2<<2 | 3) }, with("TargetName", iscsi.IQN("v")), 0x020b},
		{"value", nil, with("TargetName", iscsi.IQN("v"), "MaxBurstLength", "5"), 0x0200},
		{"number", nil, with("TargetName", iscsi.IQN("v"), "MaxOutstandingR2T", "many"), 0x0200},
		{"twice", nil, with("TargetName", iscsi.IQN("v"), "InitialR2T", "No", "InitialR2T", "Yes"), 0x0200},
		{"no text", nil, nil, 0x0207},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			r := dialRaw(t, addr)
			h := loginHeader(1, 3)
			if tc.change != nil {
				tc.change(h)
			}
			r.send(h, pairs(tc.kv...))
			got, _ := r.receive()
			if got.Opcode() != wire.LoginResp || got.Word(wire.OffLoginState)>>16 != tc.status {
				t.Errorf("opcode %#x, status %#04x; want %#04x", got.Opcode(), got.Word(wire.OffLoginState)>>16, tc.status)
			}
			r.ends()
		})
	}
}

// A login whose text comes in several PDUs (C bit) and whose stages are gone through one by one.
func TestLoginInParts(t *testing.T) {
	addr, _ := newDisk(t, mib, 512)
	r := dialRaw(t, addr)
	text := pairs("InitiatorName", "iqn.2026-11.io.weir.test:raw", "SessionType", "Normal", "TargetName", iscsi.IQN("v"),
		"AuthMethod", "CHAP,None")
	for len(text) > 0 {
		n := min(len(text), 17)
		h := loginHeader(0, 1)
		if n < len(text) {
			h.SetFlags(wire.Continue)
		}
		r.send(h, text[:n])
		text = text[n:]
		got, data := r.receive()
		if len(text) > 0 && (got.Flags() != 0 || len(data) != 0) {
			t.Fatalf("flags %#02x and %d bytes after a part", got.Flags(), len(data))
		}
		if len(text) == 0 && got.Flags() != wire.Transit|1 {
			t.Fatalf("flags %#02x, want transit to stage 1", got.Flags())
		}
	}
	h := loginHeader(1, 1)
	h.SetFlags(1 << 2)
	r.send(h, pairs("InitialR2T", "Yes"))
	if got, data := r.receive(); got.Flags() != 1<<2 || !strings.Contains(string(data), "InitialR2T=Yes") {
		t.Fatalf("flags %#02x, %q", got.Flags(), data)
	}
	r.send(loginHeader(1, 3), nil)
	if got, _ := r.receive(); got.Flags() != wire.Transit|1<<2|3 || got[15] == 0 && got[14] == 0 {
		t.Fatalf("flags %#02x, TSIH %d; want a session", got.Flags(), got[15])
	}
}

func TestCHAP(t *testing.T) {
	access := iscsi.Access{Users: []iscsi.Credential{{Name: "host", Secret: "secret-of-host"}},
		Mutual: &iscsi.Credential{Name: "weir", Secret: "secret-of-weir"}}
	if s := fmt.Sprintf("%v %+v %#v", access, access, access); strings.Contains(s, "secret-of") {
		t.Errorf("a secret shows in %s", s)
	}
	addr, _ := serve(t, new(shelf).with("v", memory.New(mib, 512), func(i *iscsi.TargetInfo) { i.Access = access }),
		iscsi.Options{DiscoveryAccess: access})
	good := initiator.Options{User: "host", Secret: "secret-of-host"}
	mutual := good
	mutual.MutualUser, mutual.MutualSecret = "weir", "secret-of-weir"
	imposter := mutual
	imposter.MutualSecret = "something else"
	for _, tc := range []struct {
		name string
		opt  initiator.Options
		ok   bool
	}{
		{"one-way", good, true}, {"mutual", mutual, true}, {"none", initiator.Options{}, false},
		{"wrong secret", initiator.Options{User: "host", Secret: "secret-of-hosT"}, false},
		{"wrong user", initiator.Options{User: "hosT", Secret: "secret-of-host"}, false},
		{"empty secret", initiator.Options{User: "nobody"}, false}, {"wrong target", imposter, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := initiator.Dial(context.Background(), addr, iscsi.IQN("v"), tc.opt)
			if (err == nil) != tc.ok {
				t.Fatalf("login: %v, want success %v", err, tc.ok)
			}
			if err == nil {
				err = errors.Join(s.ReadAt(make([]byte, 512), 0), s.Logout())
				if err != nil {
					t.Error(err)
				}
			}
			if _, err := initiator.Discover(context.Background(), addr, tc.opt); (err == nil) != tc.ok {
				t.Errorf("discovery: %v, want success %v", err, tc.ok)
			}
		})
	}
}

// An exclusive target has one initiator at a time, which may come again.
func TestExclusive(t *testing.T) {
	only := func(i *iscsi.TargetInfo) { i.Access.Exclusive = true }
	addr, _ := serve(t, new(shelf).with("v", memory.New(mib, 512), only), iscsi.Options{})
	a := dial(t, addr, "v", initiator.Options{})
	dial(t, addr, "v", initiator.Options{ISID: [6]byte{0x80, 9}})
	other := initiator.Options{Name: "iqn.2026-11.io.weir.test:other"}
	var refused *initiator.LoginError
	if _, err := initiator.Dial(context.Background(), addr, iscsi.IQN("v"), other); !errors.As(err, &refused) ||
		refused.Status != 0x0202 {
		t.Errorf("second initiator: %v, want status 0x0202", err)
	}
	if err := a.ReadAt(make([]byte, 512), 0); err != nil {
		t.Error(err)
	}
}

// Discovery tells the address that was set, else the one that the client reached (gotgt: portals must equal the local
// address, so no NAT).
func TestPortal(t *testing.T) {
	for _, set := range []string{"", "192.0.2.7:3260", "[2001:db8::1]:3260"} {
		targets := new(shelf).with("v", memory.New(mib, 512))
		addr, _ := serve(t, targets, iscsi.Options{PortalAddress: set})
		forward := forwarder(t, addr)
		found, err := initiator.Discover(context.Background(), forward, initiator.Options{})
		if err != nil {
			t.Fatal(err)
		}
		want := set
		if want == "" {
			want = addr
		}
		if len(found) != 1 || len(found[0].Portals) != 1 || found[0].Portals[0] != want {
			t.Errorf("%+v, want portal %s", found, want)
		}
		s := dial(t, forward, "v", initiator.Options{})
		if err := s.ReadAt(make([]byte, 512), 0); err != nil {
			t.Errorf("through a forwarded port: %v", err)
		}
	}
}

// forwarder accepts connections and carries them to addr.
func forwarder(t *testing.T, addr string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", addr)
			if err != nil {
				_ = in.Close()
				continue
			}
			go carry(in, out)
			go carry(out, in)
		}
	}()
	return l.Addr().String()
}

func carry(to, from net.Conn) {
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	_ = to.Close()
	_ = from.Close()
}
