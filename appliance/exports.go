package appliance

import (
	"errors"
	"fmt"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/intercept"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/raftstore/clone"
	"github.com/weirstor/weir/target"
	"github.com/weirstor/weir/target/nbd"
)

// exports shows the volumes of a gateway, and their points, to the NBD door.
type exports struct {
	gateway *gateway
}

var _ nbd.Exports = exports{}

// Export implements nbd.Exports.
func (e exports) Export(name string) (target.Device, nbd.ExportInfo, error) {
	d, err := e.gateway.device(name)
	if errors.Is(err, api.ErrNotFound) {
		err = fmt.Errorf("%w: %w", nbd.ErrUnknownExport, err)
	}
	if err != nil {
		return nil, nbd.ExportInfo{}, err
	}
	return d, nbd.ExportInfo{Name: name, Owner: ownerOf(d), Contexts: e.gateway.contextsOf(d)}, nil
}

// List implements nbd.Exports: the volumes. Points are served by name and not listed, there are many.
func (e exports) List() []nbd.ExportInfo {
	var out []nbd.ExportInfo
	for _, v := range e.gateway.group.Volumes() {
		out = append(out, nbd.ExportInfo{Name: v.Name(), Description: "volume of group " + groupName, Owner: v.ID().UUID})
	}
	for _, d := range e.gateway.system.cloneDevices() {
		out = append(out, nbd.ExportInfo{Name: d.Name(), Description: "clone", Owner: ownerOf(d)})
	}
	return out
}

// ownerOf returns the volume whose access rules are those of a device.
func ownerOf(d target.Device) ident.UUID {
	switch d := d.(type) {
	case *intercept.Volume:
		return d.ID().UUID
	case *pointDevice:
		return d.volume.UUID
	case *clone.Device:
		return d.Spec().ID.UUID
	}
	return ident.UUID{}
}
