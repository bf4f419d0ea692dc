// Package access decides who may attach a volume, and keeps it so while clients are attached.
//
// # Rules
//
// A volume without rules is open to everybody who reaches a door. Rules are of four kinds, and each kind that is set
// has to be met by a client at every door where it can be checked:
//
//	hosts       addresses and networks; both doors. "unix" stands for the Unix sockets of this machine
//	initiators  iSCSI names; iSCSI
//	users       CHAP names and secrets; iSCSI
//	tls         names in client certificates; NBD
//
// A door at which none of the rules of a volume can be checked is shut for it. Each rule lets a client read and write,
// or only read; if one of those that a client meets is for reading only, it reads only.
//
// # Places
//
// A client that is attached has a place: one for each NBD connection and each iSCSI session. Places with the right to
// write are of one client, unless the volume is shared: the second client is refused. One client is one iSCSI
// initiator name, one address with one certificate at the NBD door's TCP ports, or one process at its Unix sockets. So
// several connections and paths of one client are no conflict, and a client that comes again does not wait for the
// end of what it had before. A client that has just gone is waited for a little.
//
// When the rules change, places that they do not allow any more, or not as they are, are cut off.
//
// # Secrets
//
// CHAP (RFC 1994) needs the secret itself on both sides, so it can not be kept as a hash. The file holds secrets sealed
// with AES-256-GCM under a key of its own file, mode 0600: a copy of the rules alone, in a backup or a support bundle,
// gives nothing away; one of the whole folder does.
package access
