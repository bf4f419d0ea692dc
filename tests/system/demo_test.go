package system

import (
	"strings"
	"testing"
	"time"
)

// `weir demo` is the first thing that a newcomer runs.
func TestDemo(t *testing.T) {
	ctx := testContext(t, 2*time.Minute)
	out := run(t, ctx, weirBinary, "demo")
	for _, part := range []string{
		"MiB/s through NBD", "through iSCSI", "lag now", "LargeData", "MetadataOnly", "written by the host", "on the wire",
		"page http://", "the disk equals the volume, byte by byte",
	} {
		if !strings.Contains(out, part) {
			t.Errorf("the demo's report does not mention %q:\n%s", part, out)
		}
	}
}
