package api

import "time"

// Access says who may attach a volume. Without any entry everybody may. Each kind of entry that is there has to be met
// at every door where it can be checked; a door at which none can be checked is shut for the volume.
type Access struct {
	Hosts      []AccessEntry `json:"hosts" doc:"addresses and networks, and unix for the Unix sockets; both doors"`
	Initiators []AccessEntry `json:"initiators" doc:"iSCSI names; iSCSI"`
	Users      []AccessUser  `json:"users" doc:"CHAP names; iSCSI"`
	Mutual     *AccessUser   `json:"mutual,omitempty" doc:"what the target answers to an initiator that asks who it is"`
	TLS        []AccessEntry `json:"tls" doc:"names in client certificates; NBD"`
	ReadOnly   bool          `json:"read_only" doc:"nobody may write"`
	Sharing    bool          `json:"sharing" doc:"several clients may write at a time"`
	Revision   uint64        `json:"revision" doc:"counts the changes; sent with a change, it has to be that of the rules in force, or 0"`
}

// AccessEntry lets one name in.
type AccessEntry struct {
	Name     string `json:"name"`
	ReadOnly bool   `json:"read_only,omitempty" doc:"may not write"`
}

// AccessUser is a CHAP user.
type AccessUser struct {
	Name     string `json:"name"`
	ReadOnly bool   `json:"read_only,omitempty" doc:"may not write"`
	Secret   string `json:"secret,omitempty" doc:"12 to 255 printable characters; never answered; a user keeps its secret when it is absent"`
}

// String hides the secret.
func (u AccessUser) String() string { return u.Name }

// GoString hides the secret.
func (u AccessUser) GoString() string { return u.Name }

// Session is one client at a door: an NBD connection or an iSCSI session.
type Session struct {
	ID           string    `json:"id"`
	Door         string    `json:"door" enum:"nbd,iscsi"`
	Remote       string    `json:"remote" doc:"address and port, or unix: and the process at a Unix socket"`
	Name         string    `json:"name,omitempty" doc:"initiator name, or first name in the client certificate"`
	User         string    `json:"user,omitempty" doc:"CHAP name"`
	TLS          bool      `json:"tls,omitempty"`
	Volume       string    `json:"volume" doc:"VOLUME, or VOLUME@POINT"`
	ReadOnly     bool      `json:"read_only"`
	Since        time.Time `json:"since"`
	Commands     uint64    `json:"commands"`
	ReadBytes    uint64    `json:"read_bytes"`
	WrittenBytes uint64    `json:"written_bytes"`
	InFlight     int       `json:"in_flight" doc:"commands being carried out; at the NBD door those that arrived together count as one"`
}
