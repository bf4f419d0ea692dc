package main

import (
	"net"
	"strconv"

	"github.com/gostor/gotgt/pkg/config"
	_ "github.com/gostor/gotgt/pkg/port/iscsit" // registers the driver
	"github.com/gostor/gotgt/pkg/scsi"
	_ "github.com/gostor/gotgt/pkg/scsi/backingstore" // registers "file"
	"github.com/sirupsen/logrus"
)

const targetName = "iqn.2026-11.io.weir.peers:v"

// serveISCSI serves the file at path, which exists, with gotgt. Put it on a memory file system to measure the door
// alone.
func serveISCSI(addr, path string) error {
	_, portText, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return err
	}
	logrus.SetLevel(logrus.ErrorLevel)
	c := &config.Config{
		Storages:     []config.BackendStorage{{DeviceID: 1000, Path: "file:" + path, Online: true, BlockShift: 9}},
		ISCSIPortals: []config.ISCSIPortalInfo{{ID: 0, Portal: addr}},
		ISCSITargets: map[string]config.ISCSITarget{
			targetName: {TPGTs: map[string][]uint64{"1": {0}}, LUNs: map[string]uint64{"0": 1000}},
		},
	}
	if err := scsi.InitSCSILUMap(c); err != nil {
		return err
	}
	driver, err := scsi.NewTargetDriver("iscsi", scsi.NewSCSITargetService())
	if err != nil {
		return err
	}
	if err := driver.NewTarget(targetName, c); err != nil {
		return err
	}
	return driver.Run(port)
}
