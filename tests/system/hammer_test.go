package system

import (
	"context"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirstor/weir/target"
	"github.com/weirstor/weir/tests/guest"
	"github.com/weirstor/weir/tests/harness"
)

// bootGuest runs script in a guest of that recipe, with the hammer in it.
func bootGuest(t *testing.T, ctx context.Context, recipe guest.Recipe, script string) string {
	t.Helper()
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	image, err := recipe.Prepare(ctx, filepath.Join(root, "build", "guest"))
	if err != nil {
		t.Fatal(err)
	}
	hammer := filepath.Join(t.TempDir(), "hammer")
	run(t, ctx, "env", "CGO_ENABLED=0", "go", "build", "-o", hammer, "github.com/weirstor/weir/tests/guest/hammer")
	out, err := image.Run(ctx, guest.Config{Script: script, Files: map[string]string{"hammer": hammer}})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(out)
	return out
}

// sumsOf reads the lines "NAME … sum=SHA256" of the hammer.
func sumsOf(out string) map[string]string {
	sums := make(map[string]string)
	for line := range strings.Lines(out) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if _, sum, found := strings.Cut(rest, "sum="); found {
			sums[name] = sum
		}
	}
	return sums
}

// holdsSum checks that dev holds what the guest has written.
func holdsSum(t *testing.T, name string, dev target.Device, sum string) {
	t.Helper()
	p := make([]byte, dev.Size())
	if err := dev.ReadAt(p, 0); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%x", sha256.Sum256(p)); got != sum {
		t.Errorf("%s holds %s, want %s", name, got, sum)
	}
}
