package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// fioGrace is how much longer than asked for fio may run before it is taken for stuck.
const fioGrace = 2 * time.Minute

// fioSide is what fio says of its reads or its writes.
type fioSide struct {
	IOPS    float64 `json:"iops"`
	Latency struct {
		Percentile map[string]float64 `json:"percentile"` // ns
	} `json:"clat_ns"`
}

// fioResult is what fio says of its one job.
type fioResult struct {
	Error int
	Read  fioSide
	Write fioSide
}

// fio runs c on s for a number of seconds, or once over the export when seconds is 0, lets s settle, and returns the
// requests per second, reads and writes together.
func fio(ctx context.Context, s *server, c cell, seconds int) (rate float64, err error) {
	if s.settle != nil {
		defer func() { err = errors.Join(err, s.settle(ctx)) }()
	}
	r, err := runFio(ctx, s.uri, c, seconds)
	return r.Read.IOPS + r.Write.IOPS, err
}

// runFio runs c on the export at uri.
func runFio(ctx context.Context, uri string, c cell, seconds int) (fioResult, error) {
	args := append([]string{"--name=cell", "--ioengine=nbd", "--uri=" + uri, "--size=1g", "--randrepeat=0",
		"--norandommap", "--output-format=json"}, c.args...)
	if seconds > 0 {
		args = append(args, "--time_based", fmt.Sprintf("--runtime=%d", seconds))
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second+fioGrace)
	defer cancel()
	cmd := exec.CommandContext(ctx, "fio", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fioResult{}, fmt.Errorf("fio %s on %s: %w\n%s", c.name, uri, err, out)
	}
	var result struct{ Jobs []fioResult }
	// fio prints warnings before the JSON text.
	if err := json.Unmarshal(out[max(0, strings.IndexByte(string(out), '{')):], &result); err != nil {
		return fioResult{}, fmt.Errorf("fio's answer: %w", err)
	}
	if len(result.Jobs) != 1 || result.Jobs[0].Error != 0 {
		return fioResult{}, fmt.Errorf("fio %s on %s: %s", c.name, uri, out)
	}
	return result.Jobs[0], nil
}
