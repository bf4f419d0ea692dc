package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/weirstor/weir/admin/api"
)

// TestMain lets the scripts run this binary as weir.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"weir": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("XDG_CACHE_HOME", e.WorkDir+"/cache")
			e.Setenv("HOME", e.WorkDir)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "ready": ready, "jsonhas": jsonHas},
	})
}

// exits CODE args... runs weir and wants exactly this exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE args...")
	}
	err := ts.Exec("weir", args[1:]...)
	code := "0"
	if err != nil {
		code = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if code != args[0] {
		ts.Fatalf("weir %s: exit code %s, want %s", strings.Join(args[1:], " "), code, args[0])
	}
}

// ready DIR waits until a daemon in the background has left its addresses below DIR.
func ready(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: ready DIR")
	}
	waitFor(ts, ts.MkAbs(args[0]+"/run/addresses.json"))
}

// jsonHas FIELD checks that the latest standard output is a JSON object, or a list of them, with FIELD.
func jsonHas(ts *testscript.TestScript, neg bool, args []string) {
	var v any
	if err := json.Unmarshal([]byte(ts.ReadFile("stdout")), &v); err != nil {
		ts.Fatalf("not JSON: %v", err)
	}
	if list, ok := v.([]any); ok && len(list) > 0 {
		v = list[0]
	}
	m, ok := v.(map[string]any)
	if _, has := m[args[0]]; !ok || !has {
		ts.Fatalf("no field %q", args[0])
	}
}

func TestExitCodes(t *testing.T) {
	for err, want := range map[error]int{
		nil: exitOK, api.ErrTimeout: exitTimeout, api.ErrDiffers: exitDiffers, api.ErrNotFound: exitNotFound,
		fmt.Errorf("x: %w", api.ErrConflict): exitConflict, os.ErrClosed: exitFailed,
		error(api.ProblemOf(api.ErrUnavailable)): exitUnavailable,
	} {
		if got := exitCode(err); got != want {
			t.Errorf("%v: exit code %d, want %d", err, got, want)
		}
	}
}

// TestHelp checks that every command explains itself.
func TestHelp(t *testing.T) {
	var out bytes.Buffer
	root := newRoot(&out, &out)
	for _, c := range root.Commands() {
		if c.Short == "" {
			t.Errorf("%s says nothing about itself", c.Name())
		}
		for _, sub := range c.Commands() {
			if sub.Short == "" {
				t.Errorf("%s %s says nothing about itself", c.Name(), sub.Name())
			}
		}
	}
	if code := run([]string{"--help"}, &out, &out); code != exitOK || !strings.Contains(out.String(), "Exit codes:") {
		t.Errorf("--help exits with %d: %s", code, &out)
	}
}
