package appliance

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/replicate"
	"github.com/weirstor/weir/replicate/rpc"
	"github.com/weirstor/weir/target"
)

// groupAct is an operator's decision that is not carried out yet.
type groupAct string

const (
	actNone      groupAct = ""
	actRestore   groupAct = api.ActRestore
	actTakeover  groupAct = api.ActTakeover
	actOverwrite groupAct = api.ActOverwrite
	actRestored  groupAct = "restored" // the folder is filled; the next session takes the group for good
)

// gatewayRecord is DATA/gateway.json of a running gateway. Safe for concurrent use.
type gatewayRecord struct {
	dir string

	mu   sync.Mutex
	file gatewayFile
}

func (r *gatewayRecord) get() gatewayFile {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.file
}

// change changes the file by fn; it is on stable storage on return.
func (r *gatewayRecord) change(fn func(*gatewayFile)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.file
	fn(&f)
	if err := f.write(r.dir); err != nil {
		return err
	}
	r.file = f
	return nil
}

// parted is why the group's history and the cluster's have parted; nil while they have not. Safe for concurrent use.
type parted struct {
	mu  sync.Mutex
	err error
}

func (p *parted) set(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

func (p *parted) get() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// readOnly is why a group is read-only, over restarts.
type readOnly struct {
	Kind   string `json:"kind"` // of partings
	Reason string `json:"reason"`
}

// partings are the kinds of reasons that stay until something is decided, with the names that files have them under.
// That the gateway asks the wrong cluster is none: it ends when it asks the right one.
var partings = []struct {
	kind string
	err  error
}{
	{"taken", rpc.ErrStaleTerm}, {"owned", rpc.ErrOwned}, {"history", rpc.ErrHistory}, {"fork", rpc.ErrFork}, {"other", rpc.ErrOtherGroup},
}

// readOnlyOf returns what to remember of err; nil: nothing.
func readOnlyOf(err error) *readOnly {
	for _, p := range partings {
		if errors.Is(err, p.err) {
			return &readOnly{Kind: p.kind, Reason: err.Error()}
		}
	}
	return nil
}

// err is the reverse of readOnlyOf.
func (r *readOnly) err() error {
	for _, p := range partings {
		if p.kind == r.Kind {
			return &rememberedError{r.Reason, p.err}
		}
	}
	return errors.New(r.Reason)
}

// rememberedError is a reason that an earlier process found.
type rememberedError struct {
	text string
	kind error
}

func (e *rememberedError) Error() string { return e.text + " (found in an earlier run)" }
func (e *rememberedError) Unwrap() error { return e.kind }

// act is the decision that the shipper carries out.
func (g *gateway) act(f gatewayFile) replicate.Act {
	switch f.Act {
	case actOverwrite:
		return replicate.Overwrite
	case actRestored:
		return replicate.Restored
	case actTakeover:
		return replicate.Takeover
	}
	if g.system.cfg.Takeover {
		return replicate.Takeover
	}
	return replicate.None
}

// actDone records that the decision is carried out.
func (g *gateway) actDone() error {
	f := g.file.get()
	if f.Act != actNone {
		g.system.event("info", "group."+string(f.Act), "the decision about group "+groupName+" is carried out: "+string(f.Act))
	}
	return g.file.change(func(f *gatewayFile) { f.Act, f.From, f.ReadOnly = actNone, ident.GroupID{}, nil })
}

// fenceIfReadOnly keeps a group read-only over a restart until something is decided.
func (g *gateway) fenceIfReadOnly() {
	if f := g.file.get(); f.ReadOnly != nil && g.act(f) == replicate.None {
		err := f.ReadOnly.err()
		g.parted.set(err)
		g.group.Fence(err)
		g.system.event("error", "group.read_only", fmt.Sprintf("group %s is read-only: %v; %s", groupName, err, advicePart(err)))
	}
}

// shipperEnded tells of a shipper that has ended by itself. When the histories have parted the group stays read-only
// until an operator decides, also after a restart; unless it is only that the gateway asks the wrong cluster.
func (g *gateway) shipperEnded(err error) {
	s := g.system
	if !errors.Is(g.group.Err(), target.ErrFenced) {
		s.event("error", "replication.stopped", "replication has stopped: "+err.Error())
		return
	}
	if known := g.parted.get(); known != nil { // since an earlier run, which has told of it
		return
	}
	g.parted.set(err)
	s.event("error", "group.read_only", fmt.Sprintf("group %s is read-only: %v; %s", groupName, err, advicePart(err)))
	why := readOnlyOf(err)
	if why == nil {
		return
	}
	if err := g.file.change(func(f *gatewayFile) { f.Act, f.ReadOnly = actNone, why }); err != nil {
		s.event("error", "group.read_only", "that the group is read-only could not be recorded: "+err.Error())
	}
}

// closeGroup closes the group. That it was fenced is known.
func (g *gateway) closeGroup() error {
	if err := g.group.Close(); !errors.Is(err, target.ErrFenced) {
		return err
	}
	return nil
}

// choices are the decisions that make sense now.
func (g *gateway) choices() []string {
	switch err := g.parted.get(); {
	case err == nil && g.shipper != nil && g.shipper.Status().State == replicate.Blocked:
		return []string{api.ActRestore, api.ActOverwrite}
	case err == nil:
		return nil
	case errors.Is(err, rpc.ErrHistory), errors.Is(err, rpc.ErrOtherGroup), errors.Is(err, rpc.ErrForeign), errors.Is(err, rpc.ErrFork):
		return []string{api.ActRestore, api.ActOverwrite}
	}
	return []string{api.ActTakeover, api.ActRestore, api.ActOverwrite}
}

// advicePart says what can be decided about histories that have parted.
func advicePart(err error) string {
	switch {
	case errors.Is(err, rpc.ErrForeign):
		return "give the gateway the --providers of its own cluster; or, to move to this one: weir group overwrite"
	case errors.Is(err, rpc.ErrOtherGroup):
		return "this folder is new and the cluster holds the old content: weir group restore fetches it, weir group overwrite begins a new group beside it"
	case errors.Is(err, rpc.ErrHistory), errors.Is(err, rpc.ErrFork):
		return "decide which side is right: weir group restore fills this gateway from the cluster, weir group overwrite makes this gateway's content the next point"
	}
	return "if the other gateway is gone: weir group takeover when nothing was written through it, weir group restore to go on from its last point"
}

// DecideGroup implements admin.Groups.
func (s *System) DecideGroup(ctx context.Context, group string, a api.GroupAct) (api.GroupDecision, error) {
	g, err := s.gatewayUp()
	if err != nil {
		return api.GroupDecision{}, err
	}
	if group != groupName && group != g.group.ID().String() {
		return api.GroupDecision{}, fmt.Errorf("%w: group %q", api.ErrNotFound, group)
	}
	if g.shipper == nil {
		return api.GroupDecision{}, api.Advise(fmt.Errorf("%w: replication is off", api.ErrConflict), "start with --replication on")
	}
	if err := g.decidable(a); err != nil {
		return api.GroupDecision{}, err
	}
	d := api.GroupDecision{Act: a.Act, Group: g.group.ID().String()}
	var from ident.GroupID
	if a.Act == api.ActRestore {
		if from, err = g.source(ctx, a.From); err != nil {
			return d, err
		}
		d.Group = from.String()
	}
	if err := g.migration.takenBack(a.Act); err != nil {
		return d, err
	}
	err = g.file.change(func(f *gatewayFile) {
		f.Act, f.From = groupAct(a.Act), from
		if a.Act != api.ActTakeover && errors.Is(g.parted.get(), rpc.ErrForeign) {
			f.Cluster = ident.ClusterID{}
		}
	})
	if err != nil {
		return d, err
	}
	s.event("warning", "group.decided", fmt.Sprintf("an operator decided to %s group %s; the gateway starts anew with it", a.Act, groupName))
	s.fail(errAnew)
	return d, nil
}

// decidable refuses decisions that make no sense now.
func (g *gateway) decidable(a api.GroupAct) error {
	choices := g.choices()
	switch {
	case a.Act != api.ActRestore && a.Act != api.ActTakeover && a.Act != api.ActOverwrite:
		return fmt.Errorf("%w: %q is none of restore, takeover, overwrite", api.ErrInvalid, a.Act)
	case a.From != "" && a.Act != api.ActRestore:
		return fmt.Errorf("%w: only a restore has a group to come from", api.ErrInvalid)
	case a.Act == api.ActRestore && a.From != "":
		return nil // an empty standby takes over another gateway's group
	case len(choices) == 0:
		return api.Advise(fmt.Errorf("%w: group %s follows the cluster, there is nothing to decide", api.ErrConflict, groupName),
			"to take another gateway's group, name it: weir group restore --from GATEWAY/NAME")
	}
	for _, c := range choices {
		if c == a.Act {
			return nil
		}
	}
	return fmt.Errorf("%w: %s does not help here: %s", api.ErrConflict, a.Act, advicePart(g.parted.get()))
}

// source finds the group of the cluster to restore: the one that is named, or this gateway's own, or the one that has
// the name of this gateway and of its group.
func (g *gateway) source(ctx context.Context, from string) (ident.GroupID, error) {
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	st, err := g.system.cluster.calls.Status(ctx, &rpc.StatusRequest{})
	if err != nil {
		return ident.GroupID{}, clusterError(err)
	}
	own, named := g.group.ID().String(), g.system.name+"/"+groupName
	var there []string
	for _, want := range [][]string{{from}, {own}, {named}} {
		for _, c := range st.GetGroups() {
			id, name := uuidText(c.GetGroup()), c.GetGatewayName()+"/"+c.GetName()
			there = append(there, name+" ("+id+")")
			if c.GetHead() != nil && (want[0] == id || want[0] == name) {
				u, err := rpc.ToUUID(c.GetGroup())
				return ident.GroupID{UUID: u}, err
			}
		}
		if from != "" {
			break
		}
	}
	return ident.GroupID{}, api.Advise(fmt.Errorf("%w: the cluster holds no point of %s", api.ErrNotFound, orOwn(from, named)),
		"it has the groups: %s", strings.Join(there, ", "))
}

func orOwn(from, named string) string {
	if from == "" {
		return "this gateway's group, nor of one called " + named
	}
	return from
}

// branches lists the histories that restores have put aside.
func (g *gateway) branches() []api.Branch {
	var out []api.Branch
	for _, b := range g.file.get().Branches {
		if there, err := exists(g.system.groupFolder(b.Name)); err == nil && !there {
			continue // recorded, and the restore was cut off before it put anything aside; or removed since
		}
		out = append(out, api.Branch{Name: b.Name, Path: g.system.groupFolder(b.Name), Group: b.Group.String(), At: b.At, Reason: b.Reason})
	}
	return out
}

// branch is a group's folder that a restore has put aside.
type branch struct {
	Name   string        `json:"name"`
	Group  ident.GroupID `json:"group"`
	At     time.Time     `json:"at"`
	Reason string        `json:"reason,omitempty"`
}
