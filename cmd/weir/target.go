package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/admin/client"
)

// environment reads a variable; tests set them.
func environment(name string) string { return os.Getenv(name) }

// remote is how a command reaches the daemon and how it prints.
type remote struct {
	admin, data, token, ca string
	json                   bool
}

// flags adds the flags that every steering command has.
func (r *remote) flags(c *cobra.Command) {
	p := c.PersistentFlags()
	p.StringVar(&r.admin, "admin", "", "`ADDRESS` of the daemon (WEIR_ADMIN; default "+client.DefaultAddress+")")
	p.StringVar(&r.data, "data", "", "data `DIR` of the daemon, which knows its address (WEIR_DATA)")
	p.StringVar(&r.token, "token-file", "", "`FILE` with the daemon's token (or WEIR_TOKEN; found by itself for daemons of the same user)")
	p.StringVar(&r.ca, "ca", "", "`FILE` with the certificate of the daemon, or of an authority, to trust for https addresses")
	p.BoolVar(&r.json, "json", false, "print JSON")
}

// connect finds the daemon.
func (r *remote) connect() (*client.Client, error) {
	opt := client.Options{Address: r.admin, Data: r.data, Token: environment("WEIR_TOKEN")}
	if opt.Address == "" && opt.Data == "" {
		opt.Address, opt.Data = environment("WEIR_ADMIN"), environment("WEIR_DATA")
	}
	if r.token != "" {
		b, err := os.ReadFile(r.token)
		if err != nil {
			return nil, fmt.Errorf("%w: token: %w", errUsage, err)
		}
		opt.Token = strings.TrimSpace(string(b))
	}
	if r.ca != "" {
		b, err := os.ReadFile(r.ca)
		if err != nil {
			return nil, fmt.Errorf("%w: --ca: %w", errUsage, err)
		}
		opt.Certificate = b
	}
	return client.New(opt)
}

// calling makes a command's body that calls the daemon and prints what it answers: as JSON, or by show.
func calling[T any](r *remote, call func(c *cobra.Command, d *client.Client, args []string) (T, error), show func(p *printer, v T)) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		d, err := r.connect()
		if err != nil {
			return err
		}
		defer d.Close()
		v, err := call(c, d, args)
		if err != nil {
			return err
		}
		return r.print(c, v, func(p *printer) { show(p, v) })
	}
}

// print writes v as JSON when asked to, else what show writes.
func (r *remote) print(c *cobra.Command, v any, show func(*printer)) error {
	return printEither(c, r.json, v, show)
}

func printEither(c *cobra.Command, asJSON bool, v any, show func(*printer)) error {
	if asJSON {
		e := json.NewEncoder(c.OutOrStdout())
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(api.Filled(v))
	}
	p := &printer{tabwriter.NewWriter(c.OutOrStdout(), 0, 8, 2, ' ', 0)}
	show(p)
	return p.w.Flush()
}

// printer writes for people: columns are aligned.
type printer struct {
	w *tabwriter.Writer
}

func (p *printer) line(format string, args ...any) { fmt.Fprintf(p.w, format+"\n", args...) }

// row writes the cells of one line of a table.
func (p *printer) row(cells ...any) {
	for i, c := range cells {
		if i > 0 {
			fmt.Fprint(p.w, "\t")
		}
		fmt.Fprint(p.w, c)
	}
	fmt.Fprintln(p.w)
}
