package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/admin/client"
	"github.com/weirstor/weir/appliance/attach"
)

// attachFlags are those of weir volume attach.
type attachFlags struct {
	attach.Options
	door string // of the NBD door; empty: ask the daemon
	stay bool
}

func attachCommand(r *remote) *cobra.Command {
	f := &attachFlags{}
	c := &cobra.Command{
		Use: "attach VOLUME|VOLUME@POINT [--device /dev/nbdN|auto]", Short: "Make a volume a block device of this machine, or say how other machines attach it", Args: cobra.ExactArgs(1),
		Long: "With --device, the Linux kernel of this machine attaches the volume through its NBD client; that takes root and the\n" +
			"module nbd. The device stays when the command ends. With --stay the command goes on, and connects again what breaks:\n" +
			"then requests wait for a gateway that is restarted.\n\n" +
			"Without --device, it is printed how Linux, QEMU, Windows and ESXi attach the volume.",
		RunE: func(c *cobra.Command, args []string) error {
			if f.Device == "" {
				return calling(r, func(c *cobra.Command, d *client.Client, args []string) (instructions, error) {
					return instruct(c, d, args[0])
				}, showInstructions)(c, args)
			}
			return f.run(c, r, args[0])
		},
	}
	p := c.Flags()
	p.StringVar(&f.Device, "device", "", "`/dev/nbdN`, or auto for one that is free")
	p.StringVar(&f.door, "nbd", "", "`ADDRESS` of the NBD door: HOST:PORT or unix:/PATH (default: what the daemon says)")
	p.IntVar(&f.Connections, "connections", 4, "connections, 1 to 16")
	p.DurationVar(&f.Timeout, "timeout", 30*time.Second, "for a request on one connection, whole seconds; then it is sent on another")
	p.DurationVar(&f.Reconnect, "reconnect", 5*time.Minute, "that requests wait for a new connection when none is left, whole seconds; then they fail")
	p.BoolVar(&f.stay, "stay", false, "go on, and connect again what breaks")
	return c
}

// run attaches here.
func (f *attachFlags) run(c *cobra.Command, r *remote, volume string) error {
	f.Export = volume
	if err := f.locate(c, r, volume); err != nil {
		return err
	}
	loadModule(c)
	var w *attach.Watch
	if f.stay {
		var err error
		if w, err = attach.NewWatch(); err != nil {
			return attachError(err)
		}
	}
	d, err := attach.Attach(c.Context(), f.Options)
	if err != nil {
		return attachError(err)
	}
	if err := r.print(c, d, func(p *printer) { p.line("%s", d.Path) }); err != nil || !f.stay {
		return err
	}
	log := slog.New(slog.NewTextHandler(c.ErrOrStderr(), nil))
	return w.Keep(c.Context(), d, f.Options, log)
}

// locate finds the NBD door.
func (f *attachFlags) locate(c *cobra.Command, r *remote, volume string) (err error) {
	if f.door == "" {
		err = r.do(func(d *client.Client) error {
			s, err := d.Status(c.Context())
			if f.door = s.Addresses.NBD; f.door == "" {
				f.door, _, _ = strings.Cut(s.Addresses.NBDListeners, ",")
			}
			if err == nil && f.door == "" {
				err = api.Advise(fmt.Errorf("%w: the NBD door is shut", api.ErrConflict), "start the gateway with --nbd")
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	if f.Network, f.Address, err = attach.Network(f.door); err != nil {
		return fmt.Errorf("%w: --nbd: %w", errUsage, err)
	}
	return nil
}

// loadModule tries to load the kernel's NBD client; if that does not work, the attempt to attach says what is missing.
func loadModule(c *cobra.Command) {
	if _, err := os.Stat("/sys/module/nbd"); err == nil {
		return
	}
	_ = exec.CommandContext(c.Context(), "modprobe", "nbd").Run()
}

// attachError gives an error its exit code, and says what to do.
func attachError(err error) error {
	switch {
	case errors.Is(err, attach.ErrTLS):
		return api.Advise(fmt.Errorf("%w: %w: the kernel's NBD client has no TLS", api.ErrConflict, err),
			"attach over iSCSI, or through a Unix socket of the gateway, or let the gateway allow clients without TLS (--nbd-tls allow) on a network that is safe")
	case errors.Is(err, attach.ErrNoKernel):
		return api.Advise(fmt.Errorf("%w: %w", api.ErrUnavailable, err), "load it as root: modprobe nbd")
	case errors.Is(err, attach.ErrBusy):
		return api.Advise(fmt.Errorf("%w: %w", api.ErrConflict, err), "unmount it, or take another device; --device auto takes one that is free")
	case errors.Is(err, attach.ErrArgument):
		return fmt.Errorf("%w: %w", errUsage, err)
	case errors.Is(err, os.ErrPermission):
		return api.Advise(fmt.Errorf("%w: %w", api.ErrUnauthorized, err), "run the command as root")
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%w: %w", api.ErrNotFound, err)
	}
	return err
}

func detachCommand() *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use: "detach /dev/nbdN", Short: "End a block device of this machine that weir volume attach has made", Args: cobra.ExactArgs(1),
		Long: "What was written to the device is on stable storage before it ends. A device that is mounted is refused.",
		RunE: func(_ *cobra.Command, args []string) error { return attachError(attach.Detach(args[0], force)) },
	}
	c.Flags().BoolVar(&force, "force", false, "even if it is mounted; what is not written yet is lost")
	return c
}

// instructions say how other machines attach a volume.
type instructions struct {
	Volume string   `json:"volume"`
	NBD    string   `json:"nbd,omitempty"`
	ISCSI  string   `json:"iscsi,omitempty"`
	Steps  []recipe `json:"steps"`
}

// recipe is what to do on one kind of machine.
type recipe struct {
	On    string   `json:"on"`
	Lines []string `json:"lines"`
}

func showInstructions(p *printer, in instructions) {
	for i, s := range in.Steps {
		if i > 0 {
			p.line("")
		}
		p.line("%s", s.On)
		for _, l := range s.Lines {
			p.line("    %s", l)
		}
	}
}

// instruct writes the recipes for a volume.
func instruct(c *cobra.Command, d *client.Client, name string) (instructions, error) {
	volume, point, isPoint := strings.Cut(name, "@")
	v, err := d.Volume(c.Context(), volume)
	if err != nil {
		return instructions{}, err
	}
	a, err := d.Access(c.Context(), volume)
	if err != nil {
		return instructions{}, err
	}
	in := instructions{Volume: name, NBD: v.Attach.NBD, ISCSI: v.Attach.ISCSI}
	if isPoint {
		in.NBD = strings.Replace(in.NBD, "/"+volume, "/"+name, 1)
		in.ISCSI = strings.Replace(in.ISCSI, ":"+volume+"/0", ":"+volume+":point:"+point+"/0", 1)
	}
	if in.NBD != "" {
		in.Steps = append(in.Steps, nbdRecipes(in.NBD, name)...)
	}
	if in.ISCSI != "" {
		in.Steps = append(in.Steps, iscsiRecipes(in.ISCSI, len(a.Users) > 0, a.Mutual != nil)...)
	}
	return in, nil
}

// nbdRecipes are those for the NBD door.
func nbdRecipes(uri, name string) []recipe {
	u, err := url.Parse(uri)
	if err != nil {
		return nil
	}
	qemu := recipe{"QEMU", []string{"-drive file=" + uri + ",format=raw,if=virtio"}}
	if u.Scheme == "nbds" {
		return []recipe{qemu, {"Linux over NBD: the kernel's client has no TLS, which this door requires; use iSCSI", nil}}
	}
	if path := u.Query().Get("socket"); path != "" {
		return []recipe{qemu, {"Linux over NBD, on this machine, as root", []string{"weir volume attach " + name + " --device auto --nbd unix:" + path,
			"or: modprobe nbd && nbd-client -unix " + path + " /dev/nbd0 -N " + name}}}
	}
	return []recipe{qemu, {"Linux over NBD, as root", []string{"weir volume attach " + name + " --device auto --nbd " + u.Host,
		"or: modprobe nbd && nbd-client " + u.Hostname() + " " + u.Port() + " /dev/nbd0 -N " + name + " -C 4 -persist"}}}
}

// iscsiRecipes are those for the iSCSI door.
func iscsiRecipes(uri string, chap, mutual bool) []recipe {
	u, err := url.Parse(uri)
	if err != nil {
		return nil
	}
	iqn, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	node := "iscsiadm -m node -T " + iqn + " -p " + u.Host
	linux := recipe{On: "Linux over iSCSI (open-iscsi), as root", Lines: []string{"iscsiadm -m discovery -t sendtargets -p " + u.Host, "or, for a target that discovery does not list: " + node + ",1 -o new"}}
	windows := recipe{On: "Windows over iSCSI (PowerShell; from its documentation, not tested)", Lines: []string{
		"Start-Service MSiSCSI; Set-Service MSiSCSI -StartupType Automatic",
		fmt.Sprintf("New-IscsiTargetPortal -TargetPortalAddress %s -TargetPortalPortNumber %s", u.Hostname(), u.Port())}}
	connect := "Connect-IscsiTarget -NodeAddress " + iqn + " -IsPersistent $true"
	esxi := recipe{On: "ESXi over iSCSI (from its documentation, not tested)", Lines: []string{"esxcli iscsi software set --enabled=true", "esxcli iscsi adapter list",
		"esxcli iscsi adapter discovery sendtarget add --adapter=ADAPTER --address=" + u.Host}}
	if chap {
		linux.Lines = append(linux.Lines, node+" -o update -n node.session.auth.authmethod -v CHAP",
			node+" -o update -n node.session.auth.username -v USER", node+" -o update -n node.session.auth.password -v SECRET")
		connect += " -AuthenticationType ONEWAYCHAP -ChapUsername USER -ChapSecret SECRET"
		esxi.Lines = append(esxi.Lines, "esxcli iscsi adapter auth chap set --adapter=ADAPTER --direction=uni --level=required --authname=USER --secret=SECRET")
	}
	if mutual {
		linux.Lines = append(linux.Lines, node+" -o update -n node.session.auth.username_in -v TARGETUSER", node+" -o update -n node.session.auth.password_in -v TARGETSECRET")
		connect = strings.Replace(connect, "ONEWAYCHAP", "MUTUALCHAP", 1)
		windows.Lines = append(windows.Lines, "Set-IscsiChapSecret -ChapSecret TARGETSECRET")
	}
	linux.Lines = append(linux.Lines, node+" --login", node+" -o update -n node.startup -v automatic")
	windows.Lines = append(windows.Lines, connect)
	esxi.Lines = append(esxi.Lines, "esxcli storage core adapter rescan --all")
	return []recipe{linux, windows, esxi}
}
