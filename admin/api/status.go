package api

import "time"

// Role is what one process does.
type Role string

const (
	RoleAll      Role = "all"      // gateway and one-node provider in one process
	RoleGateway  Role = "gateway"  // doors and write path, provider elsewhere
	RoleProvider Role = "provider" // a node of the provider cluster
)

// Health says in one word how the system is, why, and what a person can do about it.
type Health struct {
	State  string `json:"state" doc:"ok, starting, degraded, failed or stopping" enum:"ok,starting,degraded,failed,stopping"`
	Reason string `json:"reason,omitempty" doc:"why the state is not ok"`
	Action string `json:"action,omitempty" doc:"what to do about it"`
}

// The states of Health.
const (
	HealthOK       = "ok"
	HealthStarting = "starting"
	HealthDegraded = "degraded"
	HealthFailed   = "failed"
	HealthStopping = "stopping"
)

// Status is the whole system on one screen.
type Status struct {
	Version   string    `json:"version"`
	Role      Role      `json:"role" enum:"all,gateway,provider"`
	Node      string    `json:"node,omitempty" doc:"name of this process in its certificate"`
	Started   time.Time `json:"started"`
	Now       time.Time `json:"now"`
	Data      string    `json:"data,omitempty" doc:"data folder"`
	Health    Health    `json:"health"`
	Addresses Addresses `json:"addresses"`
	Groups    []Group   `json:"groups"`
	Volumes   []Volume  `json:"volumes"`
	Disks     []Disk    `json:"disks"`
	Cluster   *Cluster  `json:"cluster,omitempty"`
	Store     *Store    `json:"store,omitempty" doc:"of this process's provider node"`
}

// Addresses are the real addresses that a process listens at, ports resolved. It is also the content of
// DATA/run/addresses.json.
type Addresses struct {
	Admin    string `json:"admin,omitempty" doc:"REST API, metrics and page, HOST:PORT"`
	Page     string `json:"page,omitempty" doc:"URL of the page at the admin port"`
	NBD      string `json:"nbd,omitempty" doc:"NBD door, HOST:PORT"`
	NBDTLS   string `json:"nbd_tls,omitempty" doc:"TLS at the NBD door: off, allow or require"`
	ISCSI    string `json:"iscsi,omitempty" doc:"iSCSI door, HOST:PORT"`
	Provider string `json:"provider,omitempty" doc:"provider port (Raft and RPC), HOST:PORT"`

	NBDListeners   string `json:"nbd_listeners,omitempty" doc:"all places of the NBD door, HOST:PORT and unix:/PATH, separated by commas"`
	ISCSIListeners string `json:"iscsi_listeners,omitempty" doc:"all places of the iSCSI door, separated by commas"`
}
