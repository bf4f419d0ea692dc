package todo

import (
	"testing"

	"github.com/weirstor/weir/intercept/internal/spec"
)

// The table of the specification is that of the code.
func TestSpecification(t *testing.T) {
	got, err := spec.Layout("../../docs/format-write-log.md", "Adopted images and what is to do")
	if err != nil {
		t.Fatal(err)
	}
	for word, want := range map[string]spec.Field{
		"magic": {Off: 0, Bytes: len(magic)}, "version": {Off: offVersion, Bytes: 4}, "CRC-32C": {Off: offCRC, Bytes: 4},
		"size": {Off: offSize, Bytes: 8}, "unit": {Off: offUnit, Bytes: 8}, "END": {Off: offEnd, Bytes: 8},
		"bytes": {Off: offTotal, Bytes: 8}, "one": {Off: headerBytes, Bytes: 0},
	} {
		if got[word] != want {
			t.Errorf("%s: %+v in the specification, %+v in the code", word, got[word], want)
		}
	}
}
