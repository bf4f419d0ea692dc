package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want float64
	}{{[]float64{3}, 3}, {[]float64{3, 1, 2}, 2}, {[]float64{4, 1, 2, 3}, 2.5}} {
		if got := median(c.in); got != c.want {
			t.Errorf("median of %v is %v, want %v", c.in, got, c.want)
		}
	}
}

func TestReplaceSection(t *testing.T) {
	path := filepath.Join(t.TempDir(), "doc.md")
	text := "# Title\n<!-- begin a -->\nold\n<!-- end a -->\nrest\n<!-- begin b -->\nstays\n<!-- end b -->\n"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := replaceSection(path, "a", "new\n"); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := "# Title\n<!-- begin a -->\n\nnew\n\n<!-- end a -->\nrest\n<!-- begin b -->\nstays\n<!-- end b -->\n"
	if string(got) != want {
		t.Errorf("file is %q, want %q", got, want)
	}
	if err := replaceSection(path, "c", ""); err == nil {
		t.Error("a section without marks was accepted")
	}
}

// Every step of the workload has its reference figures.
func TestReference(t *testing.T) {
	script, err := os.ReadFile("../wire/steps.sh")
	if err != nil {
		t.Fatal(err)
	}
	for step := range reference {
		if !strings.Contains(string(script), " "+step+") ") {
			t.Errorf("steps.sh has no step %s", step)
		}
	}
}
