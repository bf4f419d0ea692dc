package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// machineLoad is what the machine had done by a moment.
type machineLoad struct {
	at          time.Time
	idle, total uint64            // ticks of all processors
	disks       map[string]uint64 // ms that each whole disk was busy
}

// readLoad reads /proc/stat and /proc/diskstats (proc(5); the kernel's admin-guide/iostats, field 10).
func readLoad() (machineLoad, error) {
	l := machineLoad{at: time.Now(), disks: make(map[string]uint64)}
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return l, err
	}
	line, _, _ := strings.Cut(string(stat), "\n")
	for i, f := range strings.Fields(line)[1:] {
		n, err := strconv.ParseUint(f, 10, 64)
		if err != nil {
			return l, fmt.Errorf("/proc/stat: %w", err)
		}
		if i == 3 || i == 4 { // idle, and idle for a disk
			l.idle += n
		}
		if i < 8 { // guests are counted as users too
			l.total += n
		}
	}
	stats, err := os.ReadFile("/proc/diskstats")
	if err != nil {
		return l, err
	}
	for line := range strings.Lines(string(stats)) {
		f := strings.Fields(line)
		if len(f) < 13 {
			continue
		}
		if _, err := os.Stat("/sys/block/" + f[2]); err != nil {
			continue // a partition
		}
		if n, err := strconv.ParseUint(f[12], 10, 64); err == nil {
			l.disks[f[2]] = n
		}
	}
	return l, nil
}

// since returns which share of all processors was busy since before, and which share of the time the busiest disk was.
func (l machineLoad) since(before machineLoad) (processors, disk float64) {
	if n := l.total - before.total; n > 0 {
		processors = 1 - float64(l.idle-before.idle)/float64(n)
	}
	passed := float64(l.at.Sub(before.at).Milliseconds())
	for name, n := range l.disks {
		if passed > 0 {
			disk = max(disk, min(1, float64(n-before.disks[name])/passed))
		}
	}
	return processors, disk
}
