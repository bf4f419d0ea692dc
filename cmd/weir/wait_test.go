package main

import (
	"os"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// waitFor returns when there is a file at path.
func waitFor(ts *testscript.TestScript, path string) {
	deadline := time.Now().Add(time.Minute)
	for {
		if _, err := os.Stat(path); err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s does not appear", path)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
