package wire_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/weirstor/weir/target/iscsi/wire"
	"pgregory.net/rapid"
)

// What AppendPDU writes, Reader takes, whatever the fragmentation, the buffer and the digests.
func TestReaderTakesWhatIsAppended(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hd, dd := rapid.Bool().Draw(t, "headerDigest"), rapid.Bool().Draw(t, "dataDigest")
		datas := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 100), 1, 10).Draw(t, "data")
		datas = append(datas, bytes.Repeat([]byte{7}, rapid.IntRange(0, 100_000).Draw(t, "long")))
		var stream []byte
		for i, d := range datas {
			var h wire.Header
			h.SetOpcode(wire.DataOut)
			h.SetITT(uint32(i))
			stream = wire.AppendPDU(stream, &h, d, hd, dd)
		}
		var src io.Reader = bytes.NewReader(stream)
		if rapid.Bool().Draw(t, "byte by byte") {
			src = iotest.OneByteReader(src)
		}
		rd := wire.NewReader(src, rapid.IntRange(0, 70_000).Draw(t, "buffer"))
		rd.HeaderDigest, rd.DataDigest, rd.MaxData = hd, dd, 1<<20
		for i, d := range datas {
			var h wire.Header
			if _, err := rd.Next(&h); err != nil {
				t.Fatal(err)
			}
			if h.ITT() != uint32(i) || h.DataLen() != len(d) {
				t.Fatalf("PDU %d has %d bytes, want PDU %d with %d", h.ITT(), h.DataLen(), i, len(d))
			}
			p := make([]byte, rapid.IntRange(0, len(d)).Draw(t, "wanted"))
			if err := rd.Data(p, len(d)); err != nil || !bytes.Equal(p, d[:len(p)]) {
				t.Fatalf("PDU %d: %v", i, err)
			}
		}
		var h wire.Header
		if _, err := rd.Next(&h); err != io.EOF {
			t.Fatalf("after the last PDU: %v, want EOF", err)
		}
	})
}

// Each flipped bit is noticed where a digest covers it.
func TestDigests(t *testing.T) {
	var h wire.Header
	h.SetOpcode(wire.DataOut)
	data := []byte("some data, not a multiple of four")
	good := wire.AppendPDU(nil, &h, data, true, true)
	for i := range good {
		if i >= 4 && i <= 7 {
			continue // lengths: what follows is read elsewhere
		}
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		rd := wire.NewReader(bytes.NewReader(bad), 64)
		rd.HeaderDigest, rd.DataDigest = true, true
		var g wire.Header
		_, err := rd.Next(&g)
		want := wire.ErrHeaderDigest
		if i >= wire.HeaderLen+4 {
			if err != nil {
				t.Fatalf("byte %d: %v", i, err)
			}
			err, want = rd.Data(make([]byte, len(data)), len(data)), wire.ErrDataDigest
		}
		if !errors.Is(err, want) {
			t.Errorf("byte %d: %v, want %v", i, err, want)
		}
	}
}

func TestTooLong(t *testing.T) {
	var h wire.Header
	h.SetDataLen(8193)
	rd := wire.NewReader(bytes.NewReader(h[:]), 64)
	if _, err := rd.Next(&h); !errors.Is(err, wire.ErrTooLong) {
		t.Errorf("%v, want ErrTooLong", err)
	}
}

// The digest of RFC 7143, appendix A (32 bytes of zeroes, of ones, ascending) through a whole header.
func TestCRCVectors(t *testing.T) {
	for want, b := range map[string][]byte{
		"aa36918a": make([]byte, 32), "43aba862": bytes.Repeat([]byte{0xff}, 32),
	} {
		if got := hex.EncodeToString(wire.AppendTail(nil, b, true)); got != want {
			t.Errorf("digest %s, want %s", got, want)
		}
	}
}

func TestParseAHS(t *testing.T) {
	cases := []struct {
		hex  string
		ok   bool
		cdb  string
		bidi uint32
	}{
		{"", true, "", 0},
		{"0005020000001000", true, "", 4096},
		{"000901001122334455667788", true, "1122334455667788", 0},
		{"00050200000010000009010011223344556677ff", true, "11223344556677ff", 4096},
		{"0003010011220000", true, "1122", 0},
		{"00000100", false, "", 0}, {"ffff0100", false, "", 0}, {"0001", false, "", 0}, {"00010900", false, "", 0},
		{"00040200000010", false, "", 0},
	}
	for _, tc := range cases {
		b, _ := hex.DecodeString(tc.hex)
		a, err := wire.ParseAHS(b)
		if (err == nil) != tc.ok || (err != nil && !errors.Is(err, wire.ErrAHS)) {
			t.Errorf("%s: %v", tc.hex, err)
		}
		if hex.EncodeToString(a.ExtendedCDB) != tc.cdb || a.BidiRead != tc.bidi || a.HasBidi != (tc.bidi > 0) {
			t.Errorf("%s: %+v", tc.hex, a)
		}
	}
}

func TestText(t *testing.T) {
	pairs, err := wire.ParseText([]byte("A=1\x00B=\x00\x00C=x=y\x00D=last"))
	want := []wire.Pair{{"A", "1"}, {"B", ""}, {"C", "x=y"}, {"D", "last"}}
	if err != nil || len(pairs) != len(want) {
		t.Fatalf("%v, %v", pairs, err)
	}
	for i := range want {
		if pairs[i] != want[i] {
			t.Errorf("%v, want %v", pairs[i], want[i])
		}
	}
	if v, ok := wire.Lookup(pairs, "C"); !ok || v != "x=y" {
		t.Errorf("C is %q", v)
	}
	for _, bad := range []string{"A\x00", "=1", string(bytes.Repeat([]byte("k"), 64)) + "=1",
		"A=" + string(bytes.Repeat([]byte("v"), 8193))} {
		if _, err := wire.ParseText([]byte(bad)); !errors.Is(err, wire.ErrText) {
			t.Errorf("%.20q: %v, want ErrText", bad, err)
		}
	}
}

func TestValues(t *testing.T) {
	for s, want := range map[string]int64{"0": 0, "512": 512, "0x200": 512, "0X1f": 31, "": -1, "-1": -1, "+1": -1,
		"1025": -1, "0x": -1, "1_0": -1, "99999999999999999999": -1, " 1": -1} {
		n, err := wire.ParseNumber(s, 0, 1024)
		if (err == nil) != (want >= 0) || (err == nil && int64(n) != want) {
			t.Errorf("ParseNumber(%q) = %d, %v", s, n, err)
		}
	}
	for s, want := range map[string]string{"0x0102": "0102", "0X102": "0102", "0bAQI=": "0102", "0BAQI": "0102", "0x": "",
		"0102": "", "0xzz": "", "0b!": "", "": "", "0x0102030405": ""} {
		b, err := wire.ParseBinary(s, 4)
		if (err == nil) != (want != "") || hex.EncodeToString(b) != want {
			t.Errorf("ParseBinary(%q) = %x, %v", s, b, err)
		}
	}
	if v, ok := wire.Choose("CHAP,None", "None", "CHAP"); !ok || v != "CHAP" {
		t.Errorf("Choose takes %q, want what the sender prefers", v)
	}
	if _, ok := wire.Choose("KRB5", "None"); ok {
		t.Error("Choose found what is not there")
	}
}

// Vectors made with an independent implementation: hash of "\x05secretchallenge".
func TestCHAPResponse(t *testing.T) {
	for alg, want := range map[string]string{
		wire.CHAPMD5:     "127a561ad982d7040085866281192133",
		wire.CHAPSHA1:    "5e09d51577f3c444c3c328f0e89af22340cc484d",
		wire.CHAPSHA256:  "d2f3eed2fa21614528ad7b768ad4cbddfdd4303dc707645403679f4f186e2e07",
		wire.CHAPSHA3256: "aecf0a2543e117d7fce33af052f746dedeaeb95c0d9eb6ecbb73ea37b0fdb4cd",
		"9":              "",
	} {
		got := hex.EncodeToString(wire.CHAPResponse(alg, 5, []byte("secret"), []byte("challenge")))
		if got != want {
			t.Errorf("algorithm %s: %s, want %s", alg, got, want)
		}
	}
	if wire.CHAPEqual(nil, nil) {
		t.Error("nothing equals nothing")
	}
}

func FuzzParseText(f *testing.F) {
	f.Add([]byte("InitiatorName=iqn.x\x00SessionType=Normal\x00"))
	f.Add([]byte("A=\x00=\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		pairs, err := wire.ParseText(b)
		if err != nil {
			return
		}
		again, err := wire.ParseText(wire.AppendText(nil, pairs...))
		if err != nil || len(again) != len(pairs) {
			t.Fatalf("%q does not survive: %v", b, err)
		}
	})
}

func FuzzParseAHS(f *testing.F) {
	f.Add([]byte{0, 5, 2, 0, 0, 0, 16, 0})
	f.Add([]byte{0, 9, 1, 0, 1, 2, 3, 4, 5, 6, 7, 8})
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := wire.ParseAHS(b); err == nil && len(a.ExtendedCDB) > len(b) {
			t.Fatal("CDB longer than its segment")
		}
	})
}

func FuzzReader(f *testing.F) {
	var h wire.Header
	f.Add(wire.AppendPDU(nil, &h, []byte("abc"), true, true), true, true)
	f.Add(wire.AppendPDU(nil, &h, nil, false, false), false, false)
	f.Fuzz(func(t *testing.T, b []byte, hd, dd bool) {
		rd := wire.NewReader(bytes.NewReader(b), 100)
		rd.HeaderDigest, rd.DataDigest = hd, dd
		for taken := 0; ; {
			var h wire.Header
			if _, err := rd.Next(&h); err != nil {
				return
			}
			if err := rd.Data(make([]byte, h.DataLen()), h.DataLen()); err != nil {
				return
			}
			if taken += wire.HeaderLen + h.DataLen(); taken > len(b) {
				t.Fatal("more taken than there was")
			}
		}
	})
}

func FuzzValues(f *testing.F) {
	for _, s := range []string{"0x1f", "42", "0b", "0bAAEC", "0x", "Yes", "99999999999999999999", "0XAB"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if b, err := wire.ParseBinary(s, 16); err == nil {
			if len(b) > 16 {
				t.Fatalf("%d bytes of %q, want at most 16", len(b), s)
			}
			if again, err := wire.ParseBinary(wire.FormatBinary(b), 16); len(b) > 0 && (err != nil || !bytes.Equal(again, b)) {
				t.Fatalf("%x does not survive: %x, %v", b, again, err)
			}
		}
		if n, err := wire.ParseNumber(s, 3, 1000); err == nil && (n < 3 || n > 1000) {
			t.Fatalf("%q is %d", s, n)
		}
	})
}
