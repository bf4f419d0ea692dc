package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

// contest compares the first server with the others, cell by cell and round by round in turn.
type contest struct {
	job     string
	servers []*process // ours first
	cells   []string
	load    func(ctx context.Context, p *process, cell int) (figure, error)
}

// table runs the contest and prints rates, ratios of rates, and processor time per request. A server that can not do a
// cell gets a dash.
func (c contest) table(ctx context.Context, o options) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "`go run ./tests/bench -seconds %d -rounds %d %s`, %s\n\n", o.seconds, o.rounds, c.job, machine())
	head := []string{"requests/s (server µs per request)"}
	for _, s := range c.servers {
		head = append(head, s.name)
	}
	for _, s := range c.servers[1:] {
		head = append(head, "rate ÷ "+s.name, "CPU ÷ "+s.name)
	}
	row(&b, head)
	b.WriteString("|---" + strings.Repeat("|---:", len(head)-1) + "|\n")
	for i, cell := range c.cells {
		if !strings.Contains(cell, o.cells) {
			continue
		}
		figures, err := c.run(ctx, o, i)
		if err != nil {
			return "", err
		}
		line := c.line(cell, figures)
		row(&b, line)
		fmt.Println(strings.Join(line, "  "))
	}
	return b.String(), nil
}

// run returns the figures of each server, one for each round; none for a server that can not do the cell.
func (c contest) run(ctx context.Context, o options, cell int) ([][]figure, error) {
	figures := make([][]figure, len(c.servers))
	broken := make([]error, len(c.servers))
	for range o.rounds {
		for i, s := range c.servers {
			if broken[i] != nil {
				continue
			}
			f, err := c.load(ctx, s, cell)
			if err != nil && (i == 0 || ctx.Err() != nil) {
				return nil, fmt.Errorf("%s on %s: %w", c.cells[cell], s.name, err)
			}
			if broken[i] = err; err != nil {
				fmt.Fprintf(os.Stderr, "%s on %s: %v\n", c.cells[cell], s.name, err)
				figures[i] = nil
				continue
			}
			figures[i] = append(figures[i], f)
		}
	}
	return figures, nil
}

func (c contest) line(cell string, figures [][]figure) []string {
	line := []string{cell}
	for _, f := range figures {
		if len(f) == 0 {
			line = append(line, "–")
			continue
		}
		line = append(line, fmt.Sprintf("%.0f (%.1f)", median(column(f, figure.getRate)), median(column(f, figure.getCPU))))
	}
	for _, f := range figures[1:] {
		line = append(line, medianRatio(figures[0], f, figure.getRate), medianRatio(figures[0], f, figure.getCPU))
	}
	return line
}

func (f figure) getRate() float64 { return f.rate }
func (f figure) getCPU() float64  { return f.cpu }

func column(all []figure, get func(figure) float64) []float64 {
	var v []float64
	for _, f := range all {
		v = append(v, get(f))
	}
	return v
}

// medianRatio is the median, over the rounds, of ours by theirs.
func medianRatio(ours, theirs []figure, get func(figure) float64) string {
	if len(theirs) == 0 {
		return "–"
	}
	var v []float64
	for i := range theirs {
		v = append(v, get(ours[i])/get(theirs[i]))
	}
	return fmt.Sprintf("%.2f", median(v))
}

// stopAll stops servers and says what went wrong.
func stopAll(servers []*process) error {
	var errs []error
	for _, s := range servers {
		errs = append(errs, s.stop())
	}
	return errors.Join(errs...)
}
