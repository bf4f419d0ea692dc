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
	for _, word := range []string{"throughput", "lag", "ratio", "LargeData", "identical"} {
		if !strings.Contains(strings.ToLower(out), strings.ToLower(word)) {
			t.Errorf("the demo's report does not mention %q:\n%s", word, out)
		}
	}
}
