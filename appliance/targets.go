package appliance

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"weak"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/intercept"
	"github.com/weirstor/weir/raftstore/clone"
	"github.com/weirstor/weir/target"
	"github.com/weirstor/weir/target/iscsi"
)

// targets shows the same to the iSCSI door.
type targets struct {
	gateway *gateway
	mu      struct {
		sync.Mutex
		points map[string]weak.Pointer[pointDevice] // devices in use by name: sessions to one point share its device
	}
}

var _ iscsi.Targets = (*targets)(nil)

// Target implements iscsi.Targets.
func (t *targets) Target(iqn string) (target.Device, iscsi.TargetInfo, error) {
	name, ok := iscsi.VolumeOf(iqn)
	if !ok {
		return nil, iscsi.TargetInfo{}, iscsi.ErrUnknownTarget
	}
	name = deviceName(name)
	d, err := t.device(name)
	if errors.Is(err, api.ErrNotFound) {
		err = fmt.Errorf("%w: %w", iscsi.ErrUnknownTarget, err)
	}
	if err != nil {
		return nil, iscsi.TargetInfo{}, err
	}
	info := iscsi.TargetInfo{IQN: targetName(name), Alias: name, Owner: ownerOf(d)}
	info.Access = iscsiAccess(t.gateway.access.Rules(info.Owner))
	switch d := d.(type) {
	case *intercept.Volume:
		info.ID = d.ID().UUID
	case *pointDevice:
		info.ID = d.id()
	case *clone.Device:
		info.ID = d.ID()
	}
	return d, info, nil
}

func (t *targets) device(name string) (target.Device, error) {
	d, err := t.gateway.device(name)
	p, isPoint := d.(*pointDevice)
	if err != nil || !isPoint {
		return d, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if have := t.mu.points[name].Value(); have != nil && have.id() == p.id() {
		return have, nil
	}
	for n, w := range t.mu.points {
		if w.Value() == nil {
			delete(t.mu.points, n)
		}
	}
	t.mu.points[name] = weak.Make(p)
	return p, nil
}

// List implements iscsi.Targets.
func (t *targets) List() []iscsi.TargetInfo {
	var out []iscsi.TargetInfo
	for _, v := range t.gateway.group.Volumes() {
		id := v.ID().UUID
		out = append(out, iscsi.TargetInfo{IQN: iscsi.IQN(v.Name()), Alias: v.Name(), ID: id, Owner: id,
			Access: iscsiAccess(t.gateway.access.Rules(id))})
	}
	for _, d := range t.gateway.system.cloneDevices() {
		owner := ownerOf(d)
		out = append(out, iscsi.TargetInfo{IQN: targetName(d.Name()), Alias: d.Name(), ID: d.ID(), Owner: owner,
			Access: iscsiAccess(t.gateway.access.Rules(owner))})
	}
	return out
}

// pointMark stands for the @ of VOLUME@POINT in target names: iSCSI names have no @ (RFC 3722), and libiscsi takes the
// one of a URL for the end of a user name. Volume names have no colon.
const pointMark = ":point:"

// targetName returns the name of the target that shows a volume, or VOLUME@POINT.
func targetName(device string) string { return iscsi.IQN(strings.Replace(device, "@", pointMark, 1)) }

// deviceName returns VOLUME or VOLUME@POINT for what stands behind the prefix of a target name, of which both forms are
// known. Names are lower case, and those of targets compare without regard to it.
func deviceName(s string) string { return strings.Replace(strings.ToLower(s), pointMark, "@", 1) }
