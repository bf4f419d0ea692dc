package codec

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/replicate/pack"
)

// TestSpecification holds the tables of docs/format-pack.md against the code.
func TestSpecification(t *testing.T) {
	b, err := os.ReadFile("../../docs/format-pack.md")
	if err != nil {
		t.Fatal(err)
	}
	spec := string(b)
	for name, want := range map[string]int64{
		"pack.MaxBytes": pack.MaxBytes, "pack.HeaderBytes": pack.HeaderBytes, "pack.FrameHeadBytes": pack.FrameHeadBytes,
		"pack.Version": pack.Version, "pack.Wire": int64(pack.Wire), "pack.Store": int64(pack.Store),
		"pack.AlgSHA256": pack.AlgSHA256, "codec.FrameType": FrameType, "codec.MaxColumnBytes": MaxColumnBytes,
		"codec.MaxSegmentBytes": MaxSegmentBytes, "codec.MaxSegmentZero": MaxSegmentZero, "codec.MaxVolumes": MaxVolumes, "codec.MaxRepeat": MaxRepeat, "codec.MaxInnerBytes": MaxInnerBytes, "codec.MaxInnerRatio": MaxInnerRatio,
		"codec.MaxOffset": MaxOffset,
	} {
		row := regexp.MustCompile("(?m)^\\| `" + regexp.QuoteMeta(name) + "` \\| (\\d+) \\|$").FindStringSubmatch(spec)
		if row == nil {
			t.Errorf("%s is not in the table", name)
		} else if got, _ := strconv.ParseInt(row[1], 10, 64); got != want {
			t.Errorf("%s is %d there, %d in the code", name, got, want)
		}
	}
	_, ops, _ := strings.Cut(spec, "A token is its literal")
	ops, _, _ = strings.Cut(ops, "### 2.5")
	if n := len(regexp.MustCompile(`(?m)^\| \d+ \| `).FindAllString(ops, -1)); n != numOps {
		t.Errorf("%d ops are specified, %d in the code", n, numOps)
	}
	for c := range classify.Class(classify.NumClasses) {
		if !strings.Contains(spec, strconv.Itoa(int(c))+" "+c.String()) {
			t.Errorf("class %d %v is not in the specification", c, c)
		}
	}
}
