package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// machine describes where and when a table was measured.
func machine() string {
	model := "unknown processor"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, found := strings.Cut(string(b), "model name"); found {
			line, _, _ := strings.Cut(rest, "\n")
			model = strings.TrimSpace(strings.TrimLeft(line, "\t: "))
		}
	}
	return fmt.Sprintf("%s, %d cores, %s, %s.", model, runtime.NumCPU(), runtime.Version(), time.Now().UTC().Format(time.DateOnly))
}
