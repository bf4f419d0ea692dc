package nbd

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestDocumentedLimits holds docs/nbd.md against the code.
func TestDocumentedLimits(t *testing.T) {
	b, err := os.ReadFile("../../docs/nbd.md")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{}.withDefaults()
	for _, want := range []string{
		fmt.Sprintf("| whole handshake, TLS included | %.0f s |", o.HandshakeTimeout.Seconds()),
		fmt.Sprintf("| unfinished handshakes | %d;", o.MaxHandshakes),
		fmt.Sprintf("| connections | %d |", o.MaxConnections),
		fmt.Sprintf("| rest of a request, or replies not taken | %.0f s |", o.StallTimeout.Seconds()),
		fmt.Sprintf("| bytes in flight | %d MiB per connection, %d MiB together;", o.ConnBytes>>20, o.TotalBytes>>20),
		fmt.Sprintf("| payload of a WRITE that is skipped rather than cut off | %d MiB |", 2*MaxPayload>>20),
		fmt.Sprintf("skipped up to %d MiB", maxOptionDrain>>20),
		fmt.Sprintf("the preferred size %d, the maximum %d MiB", preferredBlock, MaxPayload>>20),
		fmt.Sprintf("READs from %d KiB on", holesFrom>>10),
		fmt.Sprintf("holds about %d KiB", parkedBytes>>10),
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("docs/nbd.md does not say %q", want)
		}
	}
}
