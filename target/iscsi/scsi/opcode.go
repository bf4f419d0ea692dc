package scsi

// The operation codes that are served (SPC-4 annex E.3, SBC-3 table 13).
const (
	opTestUnitReady     = 0x00
	opRequestSense      = 0x03
	opRead6             = 0x08
	opWrite6            = 0x0a
	opInquiry           = 0x12
	opModeSelect6       = 0x15
	opReserve6          = 0x16
	opRelease6          = 0x17
	opModeSense6        = 0x1a
	opStartStopUnit     = 0x1b
	opPreventAllow      = 0x1e
	opReadCapacity10    = 0x25
	opRead10            = 0x28
	opWrite10           = 0x2a
	opWriteVerify10     = 0x2e
	opVerify10          = 0x2f
	opPreFetch10        = 0x34
	opSyncCache10       = 0x35
	opReadDefectData10  = 0x37
	opWriteSame10       = 0x41
	opUnmap             = 0x42
	opModeSelect10      = 0x55
	opModeSense10       = 0x5a
	opPersistReserveIn  = 0x5e
	opPersistReserveOut = 0x5f
	opExtendedCopy      = 0x83
	opReceiveCopy       = 0x84
	opRead16            = 0x88
	opCompareAndWrite   = 0x89
	opWrite16           = 0x8a
	opOrWrite16         = 0x8b
	opWriteVerify16     = 0x8e
	opVerify16          = 0x8f
	opPreFetch16        = 0x90
	opSyncCache16       = 0x91
	opWriteSame16       = 0x93
	opWriteAtomic16     = 0x9c
	opServiceActionIn16 = 0x9e
	opReportLUNs        = 0xa0
	opMaintenanceIn     = 0xa3
	opRead12            = 0xa8
	opWrite12           = 0xaa
	opWriteVerify12     = 0xae
	opVerify12          = 0xaf
	opReadDefectData12  = 0xb7
)

// Service actions, in byte 1 of the CDB.
const (
	saCopyStatus         = 0x00 // RECEIVE COPY RESULTS
	saCopyParameters     = 0x03
	saReadCapacity16     = 0x10 // SERVICE ACTION IN(16)
	saGetLBAStatus       = 0x12
	saReportTargetGroups = 0x0a // MAINTENANCE IN
	saReportOpcodes      = 0x0c
	saReportTaskFuncs    = 0x0d
)
