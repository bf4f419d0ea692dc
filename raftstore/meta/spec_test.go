package meta

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

// TestSpecification holds the tables of docs/format-meta.md against the code.
func TestSpecification(t *testing.T) {
	b, err := os.ReadFile("../../docs/format-meta.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	has := func(row string) {
		t.Helper()
		if !strings.Contains(text, "\n"+row) {
			t.Errorf("docs/format-meta.md has no row that begins with %q", row)
		}
	}
	kinds := 0
	for k := range Kind(255) {
		if cmd := newCommand(k); cmd != nil {
			kinds++
			has(fmt.Sprintf("| %d | %s |", k, reflect.TypeOf(cmd).Elem().Name()))
		}
	}
	for typ, name := range map[int]string{
		recordCluster: "cluster", recordNode: "node", recordGroup: "group", recordPoint: "point", recordDisk: "disk", recordEnd: "end",
		recordPin: "pin", recordRule: "rule",
	} {
		has(fmt.Sprintf("| %d | %s |", typ, name))
	}
	for name, value := range map[string]int{
		"Version": Version, "MaxNodes": MaxNodes, "MaxDisks": MaxDisks, "MaxPins": MaxPins, "MaxTextBytes": MaxTextBytes,
		"MaxCommitBytes": MaxCommitBytes, "MaxListItems": MaxListItems, "deletionsMax": deletionsMax,
	} {
		has(fmt.Sprintf("| `%s` | %d |", name, value))
	}
	if snapshotMagic != "WEIRMETA\x01" {
		t.Errorf("magic is %q, the specification says otherwise", snapshotMagic)
	}
	if rows := strings.Count(text, "\n| ") - strings.Count(text, "\n| kind") - strings.Count(text, "\n| type") - strings.Count(text, "\n| name"); rows != kinds+8+9 {
		t.Errorf("%d rows in the tables, want %d", rows, kinds+8+9)
	}
}
