// Package scsi is a direct-access SCSI logical unit (SPC-4, SBC-3) over a target.Device, without any transport.
//
// A Unit is one logical unit, shared by all initiators. A Nexus is one initiator's way to it (the I_T_L nexus of
// SAM-5): it holds unit attentions and stands for its owner in reservations. A command runs in two steps: Nexus.Begin
// reads the CDB, checks everything that needs no data and tells how much data the command moves; Op.Run then executes
// it with that data. The transport calls Run from as many goroutines as it likes.
//
// The package owns the mapping from the errors of package target to sense data.
package scsi
