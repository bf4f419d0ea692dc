package appliance

import (
	"errors"
	"fmt"
	"strings"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/appliance/config"
	"github.com/weirstor/weir/raftstore/clone"
	"github.com/weirstor/weir/target"
	"github.com/weirstor/weir/target/iscsi"
	"github.com/weirstor/weir/target/nbd"
)

// cloneDoors are the doors of a provider: they serve its clones and nothing else.
type cloneDoors struct{ system *System }

var _ nbd.Exports = cloneDoors{}

// startCloneDoors opens the doors of a provider that are configured.
func (s *System) startCloneDoors() error {
	if s.cfg.ServeNBD != config.Off {
		list, err := s.listeners("serve-nbd", "NBD door for clones", s.cfg.ServeNBD)
		if err != nil {
			return err
		}
		s.served.nbd = nbd.NewServer(cloneDoors{s}, nbd.Options{Logger: s.log.With("room", "nbd")})
		s.serve("NBD door for clones", list, s.served.nbd)
		s.mu.Lock()
		s.mu.addresses.NBD, s.mu.addresses.NBDListeners = addressesOf(list)
		s.mu.Unlock()
	}
	if s.cfg.ServeISCSI != config.Off {
		list, err := s.listeners("serve-iscsi", "iSCSI door for clones", s.cfg.ServeISCSI)
		if err != nil {
			return err
		}
		s.served.iscsi = iscsi.NewServer(cloneTargets{cloneDoors{s}}, iscsi.Options{Logger: s.log.With("room", "iscsi")})
		s.serve("iSCSI door for clones", list, s.served.iscsi)
		s.mu.Lock()
		s.mu.addresses.ISCSI, s.mu.addresses.ISCSIListeners = addressesOf(list)
		s.mu.Unlock()
	}
	return nil
}

func (c cloneDoors) device(name string) (*clone.Device, error) {
	volume, of, _ := strings.Cut(name, "@")
	d, err := c.system.cloneDevice(volume, of)
	if found, ok := d.(*clone.Device); ok && err == nil {
		return found, nil
	}
	if err == nil {
		err = fmt.Errorf("%w: clone %q", api.ErrNotFound, name)
	}
	return nil, err
}

// Export implements nbd.Exports.
func (c cloneDoors) Export(name string) (target.Device, nbd.ExportInfo, error) {
	d, err := c.device(name)
	if errors.Is(err, api.ErrNotFound) {
		err = fmt.Errorf("%w: %w", nbd.ErrUnknownExport, err)
	}
	if err != nil {
		return nil, nbd.ExportInfo{}, err
	}
	return d, nbd.ExportInfo{Name: name}, nil
}

// List implements nbd.Exports.
func (c cloneDoors) List() []nbd.ExportInfo {
	var out []nbd.ExportInfo
	for _, d := range c.system.cloneDevices() {
		out = append(out, nbd.ExportInfo{Name: d.Name(), Description: "clone"})
	}
	return out
}

// cloneTargets shows the same to the iSCSI door.
type cloneTargets struct{ doors cloneDoors }

var _ iscsi.Targets = cloneTargets{}

// Target implements iscsi.Targets.
func (t cloneTargets) Target(iqn string) (target.Device, iscsi.TargetInfo, error) {
	name, ok := iscsi.VolumeOf(iqn)
	if !ok {
		return nil, iscsi.TargetInfo{}, iscsi.ErrUnknownTarget
	}
	name = deviceName(name)
	d, err := t.doors.device(name)
	if errors.Is(err, api.ErrNotFound) {
		err = fmt.Errorf("%w: %w", iscsi.ErrUnknownTarget, err)
	}
	if err != nil {
		return nil, iscsi.TargetInfo{}, err
	}
	return d, iscsi.TargetInfo{IQN: targetName(name), Alias: name, ID: d.ID()}, nil
}

// List implements iscsi.Targets.
func (t cloneTargets) List() []iscsi.TargetInfo {
	var out []iscsi.TargetInfo
	for _, d := range t.doors.system.cloneDevices() {
		out = append(out, iscsi.TargetInfo{IQN: targetName(d.Name()), Alias: d.Name(), ID: d.ID()})
	}
	return out
}

// attachedTo returns who is attached to an export, at the doors of a gateway or of a provider; empty when nobody is.
func (s *System) attachedTo(export string) string {
	for _, x := range s.Sessions() {
		if x.Volume == export {
			return x.Remote
		}
	}
	if s.served.nbd != nil {
		for _, x := range s.served.nbd.Sessions() {
			if x.Export == export {
				return x.Peer.String()
			}
		}
	}
	if s.served.iscsi != nil {
		for _, x := range s.served.iscsi.Sessions() {
			if x.IQN == targetName(export) {
				return x.Peer
			}
		}
	}
	return ""
}
