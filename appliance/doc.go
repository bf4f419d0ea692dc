// Package appliance composes the rooms into a running system. A role is one process:
//
//	all       gateway and one-node provider: the same code as the two roles below, over loopback mutual TLS
//	gateway   doors, write path and shipper; the provider is elsewhere
//	provider  a node of the provider cluster
//
// # Order
//
// A role starts what others need first, and ends it last:
//
//	admin      first, so that a person sees why a start takes long; last to go, so that a shutdown can be watched
//	provider   before the gateway that ships to it; after it to go, so that the last commit can still be answered
//	group      recovery of the write log; closed when nothing writes to it or reads epochs from it any more
//	shipper    after the group; joined before the group is closed. What is not committed stays in the log
//	disks      attached in the background: a provider that can not be reached never keeps the doors shut (G10)
//	doors      last, when everything that they answer for is there; first to go, so that no acknowledgement is given
//	           that nothing stands behind
//	run files  when the doors are open; withdrawn before they close
//
// # Data folder
//
//	DATA/lock           held while the process runs
//	DATA/run/           addresses and token, see admin/runfile
//	DATA/gateway.json   identity of this gateway and the cluster that it knows
//	DATA/groups/NAME/   write log and bases of a group, see intercept
//	DATA/provider/      the provider node, see raftstore
//	DATA/certs/         certificates; role all makes its own: certs/ca, certs/node, certs/gateway
package appliance
