package system

import (
	"fmt"
	"testing"
	"time"
)

// The metrics that others rely on are there, and count what was done.
func TestMetrics(t *testing.T) {
	ctx := testContext(t, 2*time.Minute)
	d := start(t, ctx, upSpec(t, "--volume", "v:64M"))
	content := pattern(8, 1<<20)
	write(t, d, content, 0)
	waitDisks(t, ctx, d, "v")
	for _, m := range []struct {
		name   string
		labels map[string]string
		least  float64
	}{
		{"weir_host_written_bytes_total", map[string]string{"volume": "v"}, float64(len(content))},
		{"weir_wire_bytes_total", map[string]string{"direction": "sent"}, float64(len(content))},
		{"weir_chunks_total", map[string]string{"volume": "v", "classification": "LargeData"}, 1},
		{"weir_chunk_bytes_total", map[string]string{"volume": "v", "classification": "LargeData"}, float64(len(content))},
		{"weir_point_committed", nil, 1},
		{"weir_lag_seconds", nil, 0},
		{"weir_log_used_bytes", nil, 0},
	} {
		eventually(t, ctx, m.name, func() error {
			got, err := d.Metric(ctx, m.name, m.labels)
			if err == nil && got < m.least {
				err = fmt.Errorf("%v is %v, want at least %v", m.labels, got, m.least)
			}
			return err
		})
	}
	if _, err := d.Metric(ctx, "weir_no_such_metric", nil); err == nil {
		t.Error("a metric that does not exist was found")
	}
}
