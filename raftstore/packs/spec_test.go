package packs

import (
	"maps"
	"os"
	"regexp"
	"strconv"
	"testing"
)

// TestSpecification holds the constants of docs/format-store.md against the code.
func TestSpecification(t *testing.T) {
	text, err := os.ReadFile("../../docs/format-store.md")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, m := range regexp.MustCompile("(?m)^\\| `packs\\.(\\w+)` \\| (\\d+) \\|$").FindAllSubmatch(text, -1) {
		if got[string(m[1])], err = strconv.ParseInt(string(m[2]), 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]int64{
		"segmentVersion":   segmentVersion,
		"segmentHeadBytes": segmentHeadBytes,
		"recordHeadBytes":  recordHeadBytes,
		"recordAlign":      recordAlign,
		"segmentBytesMax":  segmentBytesMax,
		"landedBytesMax":   landedBytesMax,
		"zeroStep":         zeroStep,
		"sealedMin":        sealedMin,
		"sealedShare":      sealedShare,
	}
	if !maps.Equal(got, want) {
		t.Errorf("the specification says %v, the code %v", got, want)
	}
}
