package access

import (
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weirstor/weir/intercept/ident"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var web = ident.UUID{1, 2, 3}

// open returns a table in a folder of the test, which waits for writers only as long as wait.
func open(t *testing.T, dir string, wait time.Duration) *Table {
	t.Helper()
	table, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	table.leave = wait
	return table
}

func nbdAt(addr string, names ...string) Client {
	return Client{Door: NBD, Addr: netip.MustParseAddr(addr), Remote: addr + ":1", TLS: names}
}

func atSocket(pid int) Client { return Client{Door: NBD, Process: pid, Remote: "unix:1"} }

func initiatorAt(addr, name, user string) Client {
	return Client{Door: ISCSI, Addr: netip.MustParseAddr(addr), Remote: addr + ":2", Initiator: name, User: user}
}
