package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/weirstor/weir/admin/api"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// The exit codes; docs and --help name them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitUnavailable = 3
	exitNotFound    = 4
	exitConflict    = 5
	exitDiffers     = 6
	exitTimeout     = 7
	exitDenied      = 8
)

const exitHelp = `Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the daemon or the provider can not be reached,
4 not found, 5 conflict with what exists, 6 content differs, 7 timed out, 8 not authorized.`

// errUsage marks what cobra refuses.
var errUsage = errors.New("wrong usage")

func exitCode(err error) int {
	for _, c := range []struct {
		err  error
		code int
	}{
		{nil, exitOK}, {errUsage, exitUsage}, {api.ErrInvalid, exitUsage}, {api.ErrTimeout, exitTimeout},
		{api.ErrUnavailable, exitUnavailable}, {api.ErrNotFound, exitNotFound}, {api.ErrConflict, exitConflict},
		{api.ErrDiffers, exitDiffers}, {api.ErrUnauthorized, exitDenied},
	} {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	return exitFailed
}

// run executes one command line. The first SIGINT or SIGTERM ends the command's context, the second the process.
func run(args []string, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	go func() {
		<-ctx.Done()
		stop() // from here on a signal has its usual effect
	}()
	root := newRoot(out, errOut)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintln(errOut, "weir:", err)
		if p, ok := advice(err); ok {
			fmt.Fprintln(errOut, "     ", p)
		}
	}
	return exitCode(err)
}

// advice returns what the error says that a person can do, unless its text says so already.
func advice(err error) (string, bool) {
	var p *api.Problem
	if errors.As(err, &p) {
		return "", false
	}
	var a interface{ Action() string }
	if errors.As(err, &a) {
		return a.Action(), true
	}
	return "", false
}

func newRoot(out, errOut io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "weir",
		Short: "Storage-appliance gateway: volumes over NBD and iSCSI, replicated to disks elsewhere",
		Long: "Weir shows volumes to servers over NBD and iSCSI, classifies and logs every write, and replicates them\n" +
			"to a provider cluster, where disks of destination VMs follow. Begin with: weir demo\n\n" + exitHelp,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetOut(out)
	root.SetErr(errOut)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return api.Advise(fmt.Errorf("%w: %w", errUsage, err), "see: %s --help", c.CommandPath())
	})
	root.AddGroup(&cobra.Group{ID: "run", Title: "Run:"}, &cobra.Group{ID: "steer", Title: "Steer a running system:"},
		&cobra.Group{ID: "files", Title: "Work on files:"})
	add := func(group string, cmds ...*cobra.Command) {
		for _, c := range cmds {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("run", demoCommand(), upCommand(), gatewayCommand(), providerCommand())
	add("steer", statusCommand(), volumeCommand(), sessionCommand(), snapshotCommand(), cloneCommand(), diskCommand(), groupCommand(), migrateCommand(),
		clusterCommand(), waitCommand(), verifyCommand(), scrubCommand(), explainCommand(), traceCommand(), eventsCommand())
	add("files", certCommand(), dumpCommand(), trainCommand(), benchCommand(), versionCommand())
	usageArgs(root)
	return root
}

// usageArgs makes wrong arguments usage errors, for every command below c.
func usageArgs(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := errors.Join(check(c, args), c.ValidateRequiredFlags()); err != nil {
				return api.Advise(fmt.Errorf("%w: %w", errUsage, err), "usage: %s", c.UseLine())
			}
			return nil
		}
	}
	if c.HasSubCommands() && c.RunE == nil {
		c.Args, c.RunE = cobra.ArbitraryArgs, unknownCommand
	}
	for _, sub := range c.Commands() {
		usageArgs(sub)
	}
}

// unknownCommand is the body of a command that only has commands below it.
func unknownCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return c.Help()
	}
	err := fmt.Errorf("%w: %s has no command %q", errUsage, c.CommandPath(), args[0])
	c.SuggestionsMinimumDistance = 2
	if like := c.SuggestionsFor(args[0]); len(like) > 0 {
		return api.Advise(err, "did you mean: %s %s", c.CommandPath(), strings.Join(like, ", "))
	}
	return api.Advise(err, "see: %s --help", c.CommandPath())
}
