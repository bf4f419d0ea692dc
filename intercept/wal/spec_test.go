package wal

import (
	"maps"
	"testing"

	"github.com/weirstor/weir/intercept/internal/spec"
)

const specFile = "../../docs/format-write-log.md"

// The specification says what the code does.
func TestSpecification(t *testing.T) {
	constants, err := spec.Constants(specFile, "wal.")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"Version": Version, "PageBytes": PageBytes, "HeaderBytes": HeaderBytes,
		"PayloadBlock": PayloadBlock, "SegmentBytesMin": SegmentBytesMin}
	if !maps.Equal(constants, want) {
		t.Errorf("constants: the specification says %v, the code %v", constants, want)
	}
	for title, want := range map[string]map[string]int{
		"Segment header": {"magic": 0, "version": offHdrVersion, "CRC-32C": offHdrCRC, "group": offHdrGroup,
			"number": offHdrNumber, "incarnation": offHdrIncarnation, "length": offHdrBytes, "synced": offHdrSynced},
		"Record header": {"crc": offCRC, "kind": offKind, "flags": offFlags, "tag": offTag, "volume": offVolume,
			"payload": offPayload, "seq": offSeq, "synced": offSynced, "off": offOff, "len": offLen, "aux": offAux,
			"aux2": offAux2},
	} {
		got, err := spec.Layout(specFile, title)
		if err != nil {
			t.Fatal(err)
		}
		delete(got, "0")
		for name, off := range want {
			if f, ok := got[name]; !ok || f.Off != off {
				t.Errorf("%s: %s is at %d in the code, specification: %+v", title, name, off, f)
			}
		}
		if title == "Record header" && len(got) < len(want) {
			t.Errorf("%s: %d fields, want %d", title, len(got), len(want))
		}
	}
}

// The kinds have the numbers and names of the specification.
func TestSpecificationKinds(t *testing.T) {
	for kind, name := range map[Kind]string{1: "write", 2: "zero", 3: "seal", 4: "table", 5: "end"} {
		if kind.String() != name {
			t.Errorf("kind %d is %q, want %q", kind, kind, name)
		}
	}
}
