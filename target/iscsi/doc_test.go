package iscsi

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/weirstor/weir/target/iscsi/scsi"
)

// docs/iscsi.md tells the limits that the code has.
func TestDocumentedLimits(t *testing.T) {
	text, err := os.ReadFile("../../docs/iscsi.md")
	if err != nil {
		t.Fatal(err)
	}
	var o Options
	o = o.withDefaults()
	for _, line := range []string{
		fmt.Sprintf("| login | %.0f s; %d KiB of text |", o.LoginTimeout.Seconds(), textMax>>10),
		fmt.Sprintf("| connections that have not logged in | %d;", o.HalfOpenMax),
		fmt.Sprintf("| sessions | %d |", o.SessionsMax),
		fmt.Sprintf("| commands of a session | %d,", o.QueueDepth),
		fmt.Sprintf("| silence | a NOP-In after %.0f s, the end after %.0f s |", o.PingAfter.Seconds(), o.DropAfter.Seconds()),
		fmt.Sprintf("| data of one session | %d MiB", o.Memory>>20),
		fmt.Sprintf("| data of all sessions | an equal part for each of %d GiB, at least %d MiB |", o.MemoryTotal>>30, scsi.MaxTransfer>>20),
		fmt.Sprintf("MaxOutstandingR2T (ours is %d)", ourMaxR2T),
	} {
		if !strings.Contains(string(text), line) {
			t.Errorf("docs/iscsi.md does not say %q", line)
		}
	}
}
