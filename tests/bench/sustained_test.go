package main

import (
	"slices"
	"testing"
	"time"

	"github.com/weirstor/weir/admin/api"
)

// A burst that begins after two seconds, at 100 MB/s for 30 s and then at 20 MB/s, and is over two seconds before the
// last sample.
func TestBurstLine(t *testing.T) {
	at, host := time.Unix(1000, 0), uint64(0)
	var list []sample
	for i := range 65 {
		list = append(list, sample{at: at.Add(time.Duration(i) * time.Second), host: host, group: api.Group{
			Pending: api.Pending{Bytes: 300e6}, Log: api.Log{UsedBytes: 512 << 20}, LagSeconds: 7,
			Wire: api.Wire{SentBytes: uint64(i) * 5e6}},
			cpu:  time.Duration(i) * time.Second / 2,
			load: machineLoad{at: at.Add(time.Duration(i) * time.Second), total: uint64(200 * i), idle: uint64(50 * i), disks: map[string]uint64{"a": uint64(i * 250), "b": 0}},
		})
		switch {
		case i >= 2 && i < 32:
			host += 100e6
		case i >= 32 && i < 62:
			host += 20e6
		}
	}
	got := burstLine("x", 120, list)
	want := []string{"x", "120", "60", "0.50", "100", "20", "55", "5.0", "512", "7", "0.50", "75 %", "25 %"}
	if !slices.Equal(got, want) {
		t.Errorf("line is %v,\nwant %v", got, want)
	}
	if n := len(trim(list[:2])); n != 2 {
		t.Errorf("%d samples are left of two", n)
	}
}

func TestCheckMarks(t *testing.T) {
	if err := checkMarks("../../docs/benchmarks.md", []string{"cells", "paused", "cpu", "latency", "sustained", "wire"}); err != nil {
		t.Error(err)
	}
	if err := checkMarks("../../docs/benchmarks.md", []string{"nothing"}); err == nil {
		t.Error("a job without a section was accepted")
	}
}
