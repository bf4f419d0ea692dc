package intercept

import (
	"strings"
	"sync"
	"testing"

	"github.com/weirstor/weir/intercept/vfs"
)

// Close waits for the layer that is being destaged, not for all that could be: those are in the log.
func TestCloseLeavesLayers(t *testing.T) {
	g, m := memGroup(t)
	v := mustCreateVolume(t, g, "v", 64<<10)
	for i := range 3 {
		mustWrite(t, v, int64(i)*8192, fill(byte(i+1), 4096))
		seal(t, g, "")
	}
	started, once := make(chan struct{}), sync.Once{}
	m.SetHook(func(op vfs.Op) error {
		if op.Name == "write" && strings.HasSuffix(op.Path, rawSuffix) {
			once.Do(func() { close(started) })
			<-g.done
		}
		return nil
	})
	g.SetReplication(false)
	<-started
	closeGroup(t, g)
	if n := len(g.stacks.current.Load().layers); n < 2 {
		t.Errorf("%d layers are left", n)
	}
	g, err := Open(scenarioDir, scenarioOptions(m.AfterKill()))
	if err != nil {
		t.Fatal(err)
	}
	v, err = g.Volume("v")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		expect(t, "volume", v, int64(i)*8192, fill(byte(i+1), 4096))
	}
	closeGroup(t, g)
}
