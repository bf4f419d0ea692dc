package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/admin/client"
	"github.com/weirstor/weir/appliance/config"
)

// accessFlags are the changes of one weir volume access set.
type accessFlags struct {
	hosts, initiators, users, tls []string
	mutual                        string
	readOnly, sharing             config.Switch
	stdin                         io.Reader
}

func accessCommand(r *remote) *cobra.Command {
	c := &cobra.Command{Use: "access", Short: "Who may attach a volume: show, set, clear"}
	f := &accessFlags{}
	set := &cobra.Command{
		Use: "set VOLUME [flags]", Short: "Change who may attach a volume; clients that may not any more are cut off", Args: cobra.ExactArgs(1),
		Long: "Each flag replaces the entries of its kind, and '' removes them; kinds that are not named stay as they are.\n" +
			"An entry that ends with ,ro may only read. A client has to meet every kind that is set and can be checked at\n" +
			"its door; a door at which none can be checked is shut for the volume. Without any entry everybody may attach.\n\n" +
			"Secrets are read from files, the file - being standard input; a user without file keeps its secret.",
		Example: "  weir volume access set web --initiator iqn.1993-08.org.debian:01:web --user web=web.secret\n" +
			"  weir volume access set web --tls web.example.org --host 10.1.0.0/16\n" +
			"  weir volume access set web --sharing on",
		RunE: calling(r, func(c *cobra.Command, d *client.Client, args []string) (api.Access, error) {
			f.stdin = c.InOrStdin()
			a, err := d.Access(c.Context(), args[0])
			if err != nil {
				return a, err
			}
			if err := f.apply(c, &a); err != nil {
				return a, err
			}
			return d.SetAccess(c.Context(), args[0], a)
		}, showAccess),
	}
	p := set.Flags()
	p.StringArrayVar(&f.hosts, "host", nil, "`ADDRESS[,ro]`, network, or unix for the Unix sockets; may be repeated")
	p.StringArrayVar(&f.initiators, "initiator", nil, "iSCSI `NAME[,ro]` of an initiator; may be repeated")
	p.StringArrayVar(&f.users, "user", nil, "CHAP user `NAME[,ro][=FILE]` with its secret in a file; may be repeated")
	p.StringArrayVar(&f.tls, "tls", nil, "`NAME[,ro]` in a client certificate, at the NBD door; may be repeated")
	p.StringVar(&f.mutual, "mutual", "", "`NAME=FILE` that the target answers to an initiator that asks who it is")
	p.Var(&f.readOnly, "read-only", "on: nobody may write")
	p.Var(&f.sharing, "sharing", "on: several clients may write at a time")
	c.AddCommand(set,
		&cobra.Command{Use: "show VOLUME", Short: "Show who may attach a volume", Args: cobra.ExactArgs(1),
			RunE: calling(r, func(c *cobra.Command, d *client.Client, args []string) (api.Access, error) {
				return d.Access(c.Context(), args[0])
			}, showAccess)},
		&cobra.Command{Use: "clear VOLUME", Short: "Let everybody attach a volume", Args: cobra.ExactArgs(1),
			RunE: calling(r, func(c *cobra.Command, d *client.Client, args []string) (api.Access, error) {
				return d.SetAccess(c.Context(), args[0], api.Access{})
			}, showAccess)})
	return c
}

// apply lays the flags that were given over a.
func (f *accessFlags) apply(c *cobra.Command, a *api.Access) error {
	given := func(name string) bool { return c.Flags().Changed(name) }
	if given("host") {
		a.Hosts = accessEntries(f.hosts)
	}
	if given("initiator") {
		a.Initiators = accessEntries(f.initiators)
	}
	if given("tls") {
		a.TLS = accessEntries(f.tls)
	}
	if given("read-only") {
		a.ReadOnly = bool(f.readOnly)
	}
	if given("sharing") {
		a.Sharing = bool(f.sharing)
	}
	var errs []error
	if given("user") {
		a.Users = nil
		for _, s := range nonEmpty(f.users) {
			u, err := f.user(s)
			errs, a.Users = append(errs, err), append(a.Users, u)
		}
	}
	if given("mutual") {
		a.Mutual = nil
		if f.mutual != "" {
			u, err := f.user(f.mutual)
			errs, a.Mutual = append(errs, err), &u
		}
	}
	return errors.Join(errs...)
}

// user reads NAME[,ro][=FILE].
func (f *accessFlags) user(s string) (api.AccessUser, error) {
	name, file, hasFile := strings.Cut(s, "=")
	e := accessEntry(name)
	u := api.AccessUser{Name: e.Name, ReadOnly: e.ReadOnly}
	if !hasFile {
		return u, nil
	}
	secret, err := f.secret(file)
	if err != nil {
		return u, fmt.Errorf("%w: secret of user %s: %w", errUsage, u.Name, err)
	}
	u.Secret = secret
	return u, nil
}

// secretFileMax bounds what is read for a secret, in bytes.
const secretFileMax = 4096

// secret reads the first line of a file, or of standard input; of that, only one user can have the secret.
func (f *accessFlags) secret(file string) (string, error) {
	in := f.stdin
	if file == "-" {
		if f.stdin == nil {
			return "", errors.New("standard input can hold one secret only")
		}
		f.stdin = nil
	} else {
		h, err := os.Open(file)
		if err != nil {
			return "", err
		}
		defer h.Close()
		in = h
	}
	b, err := io.ReadAll(io.LimitReader(in, secretFileMax))
	if err != nil {
		return "", err
	}
	line, rest, _ := bytes.Cut(b, []byte("\n"))
	if len(bytes.TrimSpace(rest)) > 0 {
		return "", errors.New("more than one line")
	}
	if line = bytes.TrimSuffix(line, []byte("\r")); len(line) == 0 {
		return "", errors.New("there is none in it")
	}
	return string(line), nil
}

func accessEntries(list []string) []api.AccessEntry {
	out := []api.AccessEntry{}
	for _, s := range nonEmpty(list) {
		out = append(out, accessEntry(s))
	}
	return out
}

// accessEntry reads NAME or NAME,ro.
func accessEntry(s string) api.AccessEntry {
	name, ro := strings.CutSuffix(s, ",ro")
	return api.AccessEntry{Name: name, ReadOnly: ro}
}

func nonEmpty(list []string) []string {
	var out []string
	for _, s := range list {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}

func showAccess(p *printer, a api.Access) {
	entries := func(kind string, list []api.AccessEntry) {
		for _, e := range list {
			p.row(kind, e.Name, rights(e.ReadOnly || a.ReadOnly))
		}
	}
	if len(a.Hosts)+len(a.Initiators)+len(a.Users)+len(a.TLS) == 0 {
		p.row("everybody", "-", rights(a.ReadOnly))
	}
	entries("host", a.Hosts)
	entries("initiator", a.Initiators)
	for _, u := range a.Users {
		p.row("user", u.Name, rights(u.ReadOnly || a.ReadOnly))
	}
	entries("tls", a.TLS)
	if a.Mutual != nil {
		p.row("target answers as", a.Mutual.Name)
	}
	if a.Sharing {
		p.line("several clients may write at a time")
	} else {
		p.line("one client may write at a time")
	}
}

func rights(readOnly bool) string {
	if readOnly {
		return "reads"
	}
	return "reads and writes"
}
