package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/weirstor/weir/tests/harness"
)

type options struct {
	seconds int
	rounds  int
	cells   string // substring of the cells to run
	out     string
	binary  string
}

func main() {
	var o options
	flag.IntVar(&o.seconds, "seconds", 10, "seconds that each cell runs on each server in each round")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds; the median of their ratios is printed")
	flag.StringVar(&o.cells, "cell", "", "run only the cells whose name contains this")
	flag.StringVar(&o.out, "out", "", "write the tables into this file too")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, jobs []string) error {
	var err error
	if o.binary, err = harness.Build(ctx); err != nil {
		return err
	}
	if len(jobs) == 0 {
		return errors.New("say what to measure: cells, paused, sustained, cpu, latency, nbd-door, iscsi-door, wire")
	}
	if err := checkMarks(o.out, jobs); err != nil {
		return err
	}
	for _, job := range jobs {
		var table string
		switch job {
		case "cells":
			table, err = measureCells(ctx, o)
		case "sustained":
			table, err = measureSustained(ctx, o)
		case "paused":
			table, err = measurePaused(ctx, o)
		case "cpu":
			table, err = measureCPU(ctx, o)
		case "latency":
			table, err = measureLatency(ctx, o)
		case "nbd-door":
			table, err = measureNBDDoor(ctx, o)
		case "iscsi-door":
			table, err = measureISCSIDoor(ctx, o)
		case "wire":
			table, err = measureWire(ctx, o)
		default:
			err = fmt.Errorf("nothing is called %q", job)
		}
		if err == nil && o.out != "" {
			err = replaceSection(o.out, job, table)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", job, err)
		}
	}
	return nil
}

// checkMarks makes sure that the file has a place for the table of each job before the time for it is spent.
func checkMarks(path string, jobs []string) error {
	if path == "" {
		return nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for _, job := range jobs {
		if _, _, err := cutSection(string(b), job); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// cutSection returns what is before and behind the section of name, its marks included.
func cutSection(text, name string) (head, foot string, err error) {
	first, last := "<!-- begin "+name+" -->\n", "<!-- end "+name+" -->\n"
	head, rest, found := strings.Cut(text, first)
	_, foot, closed := strings.Cut(rest, last)
	if !found || !closed {
		return "", "", fmt.Errorf("no marks for %s", name)
	}
	return head + first, last + foot, nil
}

// replaceSection puts text between the marks of name in the file.
func replaceSection(path, name, text string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	head, foot, err := cutSection(string(b), name)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(head+"\n"+text+"\n"+foot), 0o644)
}
