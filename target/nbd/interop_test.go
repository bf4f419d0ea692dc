package nbd

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirstor/weir/target"
)

// needs skips the test when program is not installed.
func needs(t *testing.T, program, debianPackage string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("%s is missing: install the Debian package %s", program, debianPackage)
	}
}

// run runs a foreign client to its end and returns what it printed.
func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := try(t, program, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return out
}

func try(t *testing.T, program string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "PATH=/usr/bin:/bin:/usr/sbin:/sbin") // nbdsh wants Debian's python
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// scratch makes a file of random data with holes in it.
func scratch(t *testing.T, size int) (string, []byte) {
	t.Helper()
	b := make([]byte, size)
	rnd := rand.New(rand.NewPCG(1, uint64(size)))
	for off := 0; off < size; off += 1 << 20 {
		if rnd.IntN(3) > 0 {
			copy(b[off:], pattern(byte(rnd.Uint32()), min(1<<20, size-off)))
		}
	}
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, b
}

// sparse is a probe of 64 MiB whose second half is a hole.
func sparse(t *testing.T) *probe {
	t.Helper()
	const half = 32 << 20
	dev := newProbe(2*half, 512)
	if err := dev.Device.WriteAt(pattern(9, half), 0, false); err != nil {
		t.Fatal(err)
	}
	dev.holes = []target.Extent{{Off: 0, Len: half, Kind: target.Data}, {Off: half, Len: half, Kind: target.Hole}}
	return dev
}

func TestNbdinfo(t *testing.T) {
	needs(t, "nbdinfo", "libnbd-bin")
	_, addr := startServer(t, shelf{"v": sparse(t)}, Options{})
	var info struct {
		Protocol string
		Exports  []struct {
			Name     string `json:"export-name"`
			Contexts []string
			Size     uint64 `json:"export-size"`
			CanMulti bool   `json:"can_multi_conn"`
			CanFUA   bool   `json:"can_fua"`
			CanDF    bool   `json:"can_df"`
			MinBlock int    `json:"block_size_minimum"`
		}
	}
	out := run(t, "nbdinfo", "--json", "--list", "nbd://"+addr)
	if err := json.Unmarshal([]byte(out), &info); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if len(info.Exports) != 1 {
		t.Fatalf("exports: %s", out)
	}
	e := info.Exports[0]
	if info.Protocol != "newstyle-fixed" || e.Name != "v" || e.Size != 64<<20 || !e.CanMulti || !e.CanFUA || !e.CanDF ||
		e.MinBlock != 512 || fmt.Sprint(e.Contexts) != "[base:allocation]" {
		t.Errorf("nbdinfo says %+v", info)
	}
	var runs []struct{ Offset, Length, Type int }
	out = run(t, "nbdinfo", "--json", "--map", "nbd://"+addr+"/v")
	if err := json.Unmarshal([]byte(out), &runs); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if want := "[{0 33554432 0} {33554432 33554432 3}]"; fmt.Sprint(runs) != want {
		t.Errorf("map %v, want %s", runs, want)
	}
	if out, err := try(t, "nbdinfo", "nbd://"+addr+"/nope"); err == nil || !strings.Contains(out, "No such file") {
		t.Errorf("unknown export: %v, %s", err, out)
	}
}

func TestNbdcopy(t *testing.T) {
	needs(t, "nbdcopy", "libnbd-bin")
	dev := newProbe(32<<20, 512)
	_, addr := startServer(t, shelf{"v": dev}, Options{})
	path, want := scratch(t, 32<<20)
	back := path + ".back"
	run(t, "nbdcopy", "--connections=4", "--requests=64", "--flush", path, "nbd://"+addr+"/v")
	if dev.count("flush") == 0 {
		t.Error("--flush did not reach the device")
	}
	run(t, "nbdcopy", "--connections=4", "nbd://"+addr+"/v", back)
	compareFile(t, back, want)
	run(t, "nbdcopy", "--synchronous", "nbd://"+addr+"/v", back)
	compareFile(t, back, want)
}

func compareFile(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs from what was written", path)
	}
}

func TestQemuImg(t *testing.T) {
	needs(t, "qemu-img", "qemu-utils")
	_, addr := startServer(t, shelf{"v": newProbe(32<<20, 512), "w": newProbe(32<<20, 4096)}, Options{})
	path, want := scratch(t, 32<<20)
	for _, name := range []string{"v", "w"} {
		uri := "nbd://" + addr + "/" + name
		run(t, "qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", path, uri)
		run(t, "qemu-img", "compare", "-f", "raw", "-F", "raw", path, uri)
		run(t, "qemu-img", "convert", "-f", "raw", "-O", "raw", uri, path+".back")
		compareFile(t, path+".back", want)
	}
	run(t, "qemu-img", "map", "--output=json", "nbd://"+addr+"/v")
}

func TestQemuIO(t *testing.T) {
	needs(t, "qemu-io", "qemu-utils")
	dev := newProbe(8<<20, 512)
	_, addr := startServer(t, shelf{"v": dev}, Options{})
	out := run(t, "qemu-io", "-f", "raw", "nbd://"+addr+"/v",
		"-c", "write -P 0x5a 0 64k", "-c", "write -f -P 0x5b 64k 64k", "-c", "write -z 32k 16k",
		"-c", "write -z -u 80k 16k", "-c", "discard 0 4k", "-c", "flush",
		"-c", "read -P 0 0 4k", "-c", "read -P 0x5a 4k 28k", "-c", "read -P 0 32k 16k", "-c", "read -P 0x5a 48k 16k",
		"-c", "read -P 0x5b 64k 16k", "-c", "read -P 0 80k 16k", "-c", "aio_write -P 7 1M 1M", "-c", "aio_flush",
		"-c", "read -P 7 1M 1M")
	if strings.Contains(out, "failed") || strings.Contains(out, "rror") {
		t.Errorf("qemu-io says:\n%s", out)
	}
	if dev.count("trim") == 0 || dev.count("zero") == 0 || dev.count("flush") == 0 {
		t.Errorf("calls: %v", dev.calls)
	}
	dev.setFail("write", target.ErrNoSpace)
	if out, err := try(t, "qemu-io", "-f", "raw", "nbd://"+addr+"/v", "-c", "write 0 4k"); err == nil ||
		!strings.Contains(out, "No space left") {
		t.Errorf("a full device: %v, %s", err, out)
	}
}

// nbdshScript uses the client library as an application does. Assertions end it with an error.
const nbdshScript = `
import errno, os
h.set_strict_mode(0)
h.add_meta_context("base:allocation")
h.connect_uri(os.environ["URI"])
assert h.get_size() == 64*1024*1024
assert h.can_fast_zero() and h.can_cache() and h.can_multi_conn()
assert h.get_block_size(nbd.SIZE_MAXIMUM) == 32*1024*1024
h.pwrite(b"x" * 4096, 8192, nbd.CMD_FLAG_FUA)
assert h.pread(4096, 8192) == b"x" * 4096
h.zero(4096, 8192, nbd.CMD_FLAG_NO_HOLE | nbd.CMD_FLAG_FAST_ZERO)
assert h.pread(4096, 8192) == bytes(4096)
h.trim(4096, 4096, nbd.CMD_FLAG_FUA)
h.cache(4096, 0)
h.flush()
got = []
def chunk(buf, offset, status, err):
    got.append((offset, len(buf), status))
h.pread_structured(1 << 20, (32 << 20) - (512 << 10), chunk)
assert [s for _, _, s in got] == [nbd.READ_DATA, nbd.READ_HOLE], got
got.clear()
h.pread_structured(1 << 20, (32 << 20) - (512 << 10), chunk, nbd.CMD_FLAG_DF)
assert [s for _, _, s in got] == [nbd.READ_DATA], got
status = []
h.block_status(64 << 20, 0, lambda ctx, off, e, err: status.append((ctx, e)))
assert status == [("base:allocation", [32 << 20, 0, 32 << 20, 3])], status
def fails(number, call):
    try:
        call()
    except nbd.Error as e:
        assert e.errnum == number, e
        return
    raise AssertionError("did not fail")
fails(errno.EINVAL, lambda: h.pread(512, 64 << 20))
fails(errno.ENOSPC, lambda: h.pwrite(bytes(512), 64 << 20))
fails(errno.EINVAL, lambda: h.trim(512, 64 << 20))
fails(errno.ENOSPC, lambda: h.zero(512, 64 << 20))
fails(errno.EINVAL, lambda: h.pread(512, 1))
h.pread(512, 0)
cookies = [h.aio_pwrite(nbd.Buffer.from_bytearray(bytearray([i]) * 4096), i * 4096) for i in range(100)]
while h.aio_in_flight() > 0:
    h.poll(-1)
assert all(h.aio_command_completed(c) for c in cookies)
for i in range(100):
    assert h.pread(4096, i * 4096) == bytes([i]) * 4096
h.shutdown()
`

func TestNbdsh(t *testing.T) {
	needs(t, "nbdsh", "python3-libnbd")
	_, addr := startServer(t, shelf{"v": sparse(t)}, Options{})
	t.Setenv("URI", "nbd://"+addr+"/v")
	run(t, "nbdsh", "-c", nbdshScript)
}

func TestFioVerify(t *testing.T) {
	needs(t, "fio", "fio")
	if out, err := try(t, "fio", "--enghelp=nbd"); err != nil || !strings.Contains(out, "uri") {
		t.Skip("fio has no nbd engine")
	}
	_, addr := startServer(t, shelf{"v": newProbe(64<<20, 4096)}, Options{})
	out := run(t, "fio", "--name=x", "--ioengine=nbd", "--uri=nbd://"+addr+"/v", "--rw=randrw", "--bsrange=4k-128k",
		"--blockalign=4k", "--iodepth=32", "--size=64m", "--io_size=64m", "--verify=crc32c",
		"--verify_state_save=0", "--fsync=64")
	if strings.Contains(out, "verify:") || !strings.Contains(out, "err= 0") {
		t.Errorf("fio says:\n%s", out)
	}
}

// TestNbdkitPlugin goes through nbdkit's own NBD client.
func TestNbdkitPlugin(t *testing.T) {
	needs(t, "nbdkit", "nbdkit")
	needs(t, "nbdinfo", "libnbd-bin")
	_, addr := startServer(t, shelf{"v": sparse(t), "w": newProbe(64<<20, 512)}, Options{})
	out, err := try(t, "nbdkit", "-U", "-", "nbd", "uri=nbd://"+addr+"/v", "--run", `nbdinfo --size "$uri"`)
	if err != nil && strings.Contains(out, "cannot open plugin") {
		t.Skip("nbdkit has no nbd plugin")
	}
	if err != nil || strings.TrimSpace(out) != "67108864" {
		t.Errorf("%v: %s", err, out)
	}
	needs(t, "nbdcopy", "libnbd-bin")
	path, want := scratch(t, 64<<20)
	run(t, "nbdkit", "-U", "-", "nbd", "uri=nbd://"+addr+"/w", "--run", `nbdcopy --flush "`+path+`" "$uri" && nbdcopy "$uri" "`+path+`.back"`)
	compareFile(t, path+".back", want)
}

// TestForeignClientsOverTLS: with certificates as libnbd, nbdcopy and qemu expect them in a folder.
func TestForeignClientsOverTLS(t *testing.T) {
	needs(t, "nbdcopy", "libnbd-bin")
	ca := newAuthority(t)
	_, addr := startServer(t, shelf{"v": newProbe(16<<20, 512)}, Options{TLS: ca.serverConfig(), TLSMode: TLSRequire})
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	dir := certFolder(t, ca)
	path, want := scratch(t, 16<<20)
	uri := "nbds://localhost:" + port + "/v?tls-certificates=" + dir
	run(t, "nbdcopy", path, uri)
	run(t, "nbdcopy", uri, path+".back")
	compareFile(t, path+".back", want)
	if out, err := try(t, "nbdinfo", "nbd://"+addr+"/v"); err == nil {
		t.Errorf("a client without TLS was let in: %s", out)
	}
	needs(t, "qemu-img", "qemu-utils")
	creds := "tls-creds-x509,id=t,endpoint=client,dir=" + dir
	remote := "driver=nbd,host=localhost,port=" + port + ",export=v,tls-creds=t"
	run(t, "qemu-img", "compare", "--object", creds, "--image-opts", "driver=raw,file.driver=file,file.filename="+path, remote)
	run(t, "qemu-io", "--object", creds, "--image-opts", remote, "-c", "write -P 0x5a 0 1M", "-c", "flush", "-c", "read -P 0x5a 0 1M")
}

// TestForeignClientsOverUnix: the same clients over a Unix socket.
func TestForeignClientsOverUnix(t *testing.T) {
	needs(t, "nbdcopy", "libnbd-bin")
	needs(t, "qemu-io", "qemu-utils")
	socket := filepath.Join(t.TempDir(), "nbd.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(shelf{"v": newProbe(16<<20, 512)}, Options{})
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	defer func() {
		if err := errors.Join(s.Close(), <-served); !errors.Is(err, ErrServerClosed) {
			t.Error(err)
		}
	}()
	path, want := scratch(t, 16<<20)
	uri := "nbd+unix:///v?socket=" + socket
	run(t, "nbdcopy", "--connections=4", path, uri)
	run(t, "nbdcopy", uri, path+".back")
	compareFile(t, path+".back", want)
	if out := run(t, "nbdinfo", "--size", uri); strings.TrimSpace(out) != "16777216" {
		t.Errorf("nbdinfo says %s", out)
	}
	run(t, "qemu-img", "compare", "-f", "raw", "-F", "raw", path, uri)
	run(t, "qemu-io", "-f", "raw", uri, "-c", "write -P 0x5a 0 1M", "-c", "flush", "-c", "read -P 0x5a 0 1M")
}

// certFolder writes the files ca-cert.pem, client-cert.pem and client-key.pem.
func certFolder(t *testing.T, ca *authority) string {
	t.Helper()
	dir := t.TempDir()
	client := ca.issue("client")
	key, err := x509.MarshalPKCS8PrivateKey(client.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"ca-cert.pem":     {Type: "CERTIFICATE", Bytes: ca.cert.Raw},
		"client-cert.pem": {Type: "CERTIFICATE", Bytes: client.Certificate[0]},
		"client-key.pem":  {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
