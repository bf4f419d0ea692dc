package scsi

// command is one entry of the table of operation codes.
type command struct {
	name   string
	opcode byte
	action int // service action in byte 1, or -1
	length int // of the CDB, in bytes
	usage  []byte

	access  access
	medium  bool // needs a medium
	unaware bool // not kept back by unit attentions, reservations and medium (SPC-4, section 5.14)

	offered func(*Unit) bool // nil: by every unit

	parse func(*Op) bool
	run   func(op *Op, out []byte)
}

// mask is the CDB usage data: the bits that are looked at (SPC-4, section 6.35.3).
func (c *command) mask() []byte {
	m := make([]byte, c.length)
	m[0] = c.opcode
	copy(m[1:], c.usage)
	if c.action >= 0 {
		m[1] |= byte(c.action)
	}
	m[c.length-1] |= 0x04 // NACA
	return m
}

func (c *command) offeredBy(u *Unit) bool { return c.offered == nil || c.offered(u) }

type tableEntry struct {
	plain   *command
	actions []*command
}

func (e *tableEntry) action(sa uint16) *command {
	for _, c := range e.actions {
		if c.action == int(sa) {
			return c
		}
	}
	return nil
}

// table finds a command by its operation code; init fills it from commands.
var table [256]tableEntry

func lookup(u *Unit, cdb []byte) *command {
	if len(cdb) < 16 {
		return nil
	}
	e := &table[cdb[0]]
	c := e.plain
	if c == nil {
		c = e.action(uint16(cdb[1] & 0x1f))
	}
	if c == nil || !c.offeredBy(u) {
		return nil
	}
	return c
}

// CDB usage of the common layouts, from byte 1 on.
var (
	use6    = []byte{0x1f, 0xff, 0xff, 0xff}
	use10   = []byte{0xf8, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff}
	use12   = []byte{0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	use16   = []byte{0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	useVer  = 0xf6 // VRPROTECT, DPO, BYTCHK
	useAl8  = []byte{0, 0, 0, 0, 0, 0, 0xff, 0xff}
	useCopy = []byte{0, 0xff, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}
	useAl12 = []byte{0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}
)

func withFirst(first int, usage []byte) []byte {
	u := append([]byte(nil), usage...)
	u[0] = byte(first)
	return u
}

// commands lists everything that a unit executes, in the order of operation codes.
var commands []*command

func init() {
	commands = append(commands, basicCommands()...)
	commands = append(commands, transferCommands()...)
	commands = append(commands, mediumCommands()...)
	commands = append(commands, reservationCommands()...)
	commands = append(commands, serviceCommands()...)
	for _, c := range commands {
		e := &table[c.opcode]
		if c.action < 0 {
			e.plain = c
		} else {
			e.actions = append(e.actions, c)
		}
	}
}

func basicCommands() []*command {
	return []*command{
		{name: "TEST UNIT READY", opcode: opTestUnitReady, action: -1, length: 6, access: accessReady, medium: true,
			run: runTestUnitReady},
		{name: "REQUEST SENSE", opcode: opRequestSense, action: -1, length: 6, usage: []byte{1, 0, 0, 0xff},
			unaware: true, parse: parseRequestSense, run: runRequestSense},
		{name: "INQUIRY", opcode: opInquiry, action: -1, length: 6, usage: []byte{1, 0xff, 0xff, 0xff}, unaware: true,
			parse: parseInquiry, run: runInquiry},
		{name: "MODE SELECT(6)", opcode: opModeSelect6, action: -1, length: 6, usage: []byte{0x11, 0, 0, 0xff},
			access: accessAdmin, parse: parseModeSelect6, run: runModeSelect6},
		{name: "MODE SENSE(6)", opcode: opModeSense6, action: -1, length: 6, usage: []byte{0x08, 0xff, 0xff, 0xff},
			access: accessReady, parse: parseModeSense6, run: runModeSense6},
		{name: "START STOP UNIT", opcode: opStartStopUnit, action: -1, length: 6, usage: []byte{1, 0, 0x0f, 0xf7},
			access: accessAdmin, parse: parseStartStop, run: runStartStop},
		{name: "PREVENT ALLOW MEDIUM REMOVAL", opcode: opPreventAllow, action: -1, length: 6,
			usage: []byte{0, 0, 0, 0x03}, access: accessAdmin, parse: parsePrevent, run: runPrevent},
		{name: "READ CAPACITY(10)", opcode: opReadCapacity10, action: -1, length: 10, access: accessReady, medium: true,
			parse: parseReadCapacity10, run: runReadCapacity10},
		{name: "READ DEFECT DATA(10)", opcode: opReadDefectData10, action: -1, length: 10,
			usage: withFirst(0, useAl8), access: accessReady, medium: true, parse: parseReadDefects10, run: runReadDefects10},
		{name: "READ DEFECT DATA(12)", opcode: opReadDefectData12, action: -1, length: 12, usage: useAl12,
			access: accessReady, medium: true, parse: parseReadDefects12, run: runReadDefects12},
		{name: "MODE SELECT(10)", opcode: opModeSelect10, action: -1, length: 10, usage: withFirst(0x11, useAl8),
			access: accessAdmin, parse: parseModeSelect10, run: runModeSelect10},
		{name: "MODE SENSE(10)", opcode: opModeSense10, action: -1, length: 10,
			usage: []byte{0x18, 0xff, 0xff, 0, 0, 0, 0xff, 0xff}, access: accessReady, parse: parseModeSense10,
			run: runModeSense10},
		{name: "REPORT LUNS", opcode: opReportLUNs, action: -1, length: 12,
			usage: []byte{0, 0xff, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}, unaware: true, parse: parseReportLUNs,
			run: runReportLUNs},
	}
}

func transferCommands() []*command {
	read := func(name string, op byte, n int, usage []byte, parse func(*Op) bool) *command {
		return &command{name: name, opcode: op, action: -1, length: n, usage: usage, access: accessRead, medium: true,
			parse: parse, run: runRead}
	}
	write := func(name string, op byte, n int, usage []byte, parse func(*Op) bool) *command {
		return &command{name: name, opcode: op, action: -1, length: n, usage: usage, access: accessWrite, medium: true,
			parse: parse, run: runWrite}
	}
	verify := func(name string, op byte, n int, usage []byte, parse func(*Op) bool) *command {
		return &command{name: name, opcode: op, action: -1, length: n, usage: withFirst(useVer, usage),
			access: accessRead, medium: true, parse: parse, run: runVerify}
	}
	writeVerify := func(name string, op byte, n int, usage []byte, parse func(*Op) bool) *command {
		return &command{name: name, opcode: op, action: -1, length: n, usage: withFirst(useVer, usage),
			access: accessWrite, medium: true, parse: parse, run: runWriteVerify}
	}
	return []*command{
		read("READ(6)", opRead6, 6, use6, parseRead6),
		read("READ(10)", opRead10, 10, use10, parseRead10),
		read("READ(12)", opRead12, 12, use12, parseRead12),
		read("READ(16)", opRead16, 16, use16, parseRead16),
		write("WRITE(6)", opWrite6, 6, use6, parseWrite6),
		write("WRITE(10)", opWrite10, 10, use10, parseWrite10),
		write("WRITE(12)", opWrite12, 12, use12, parseWrite12),
		write("WRITE(16)", opWrite16, 16, use16, parseWrite16),
		verify("VERIFY(10)", opVerify10, 10, use10, parseVerify10),
		verify("VERIFY(12)", opVerify12, 12, use12, parseVerify12),
		verify("VERIFY(16)", opVerify16, 16, use16, parseVerify16),
		writeVerify("WRITE AND VERIFY(10)", opWriteVerify10, 10, use10, parseWriteVerify10),
		writeVerify("WRITE AND VERIFY(12)", opWriteVerify12, 12, use12, parseWriteVerify12),
		writeVerify("WRITE AND VERIFY(16)", opWriteVerify16, 16, use16, parseWriteVerify16),
	}
}

func mediumCommands() []*command {
	pre := []byte{0x02, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff}
	atomic := func(u *Unit) bool { return u.id.AtomicMax > 0 }
	return []*command{
		{name: "WRITE ATOMIC(16)", opcode: opWriteAtomic16, action: -1, length: 16,
			usage:  []byte{0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0xff, 0xff},
			access: accessWrite, medium: true, offered: atomic, parse: parseWriteAtomic, run: runWrite},
		{name: "PRE-FETCH(10)", opcode: opPreFetch10, action: -1, length: 10, usage: pre, access: accessRead,
			medium: true, parse: parsePreFetch10, run: runPreFetch},
		{name: "PRE-FETCH(16)", opcode: opPreFetch16, action: -1, length: 16, usage: withFirst(0x02, use16),
			access: accessRead, medium: true, parse: parsePreFetch16, run: runPreFetch},
		{name: "SYNCHRONIZE CACHE(10)", opcode: opSyncCache10, action: -1, length: 10, usage: pre, access: accessAdmin,
			medium: true, parse: parseSync10, run: runSync},
		{name: "SYNCHRONIZE CACHE(16)", opcode: opSyncCache16, action: -1, length: 16, usage: withFirst(0x02, use16),
			access: accessAdmin, medium: true, parse: parseSync16, run: runSync},
		{name: "WRITE SAME(10)", opcode: opWriteSame10, action: -1, length: 10, usage: use10, access: accessWrite,
			medium: true, parse: parseWriteSame10, run: runWriteSame},
		{name: "WRITE SAME(16)", opcode: opWriteSame16, action: -1, length: 16, usage: withFirst(0xf9, use16),
			access: accessWrite, medium: true, parse: parseWriteSame16, run: runWriteSame},
		{name: "UNMAP", opcode: opUnmap, action: -1, length: 10, usage: withFirst(0x01, useAl8), access: accessWrite,
			medium: true, parse: parseUnmap, run: runUnmap},
		{name: "COMPARE AND WRITE", opcode: opCompareAndWrite, action: -1, length: 16,
			usage:  []byte{0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0xff},
			access: accessWrite, medium: true, parse: parseCompareAndWrite, run: runCompareAndWrite},
		{name: "ORWRITE(16)", opcode: opOrWrite16, action: -1, length: 16, usage: use16, access: accessWrite,
			medium: true, parse: parseOrWrite16, run: runOrWrite},
	}
}

func reservationCommands() []*command {
	list := []*command{
		{name: "RESERVE(6)", opcode: opReserve6, action: -1, length: 6, usage: []byte{0x1f}, access: accessReady,
			parse: parseReserve6, run: runReserve6},
		{name: "RELEASE(6)", opcode: opRelease6, action: -1, length: 6, usage: []byte{0x1f}, parse: parseReserve6,
			run: runRelease6},
	}
	for i, name := range []string{"READ KEYS", "READ RESERVATION", "REPORT CAPABILITIES", "READ FULL STATUS"} {
		list = append(list, &command{name: "PERSISTENT RESERVE IN, " + name, opcode: opPersistReserveIn, action: i,
			length: 10, usage: useAl8, access: accessReady, parse: parsePersistIn, run: runPersistIn})
	}
	for i, name := range []string{"REGISTER", "RESERVE", "RELEASE", "CLEAR", "PREEMPT", "PREEMPT AND ABORT",
		"REGISTER AND IGNORE EXISTING KEY", "REGISTER AND MOVE"} {
		list = append(list, &command{name: "PERSISTENT RESERVE OUT, " + name, opcode: opPersistReserveOut, action: i,
			length: 10, usage: []byte{0, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff}, access: accessReady, parse: parsePersistOut,
			run: runPersistOut})
	}
	return list
}

func serviceCommands() []*command {
	list := []*command{
		{name: "EXTENDED COPY(LID1)", opcode: opExtendedCopy, action: 0, length: 16, usage: useCopy, access: accessWrite,
			medium: true, parse: parseExtendedCopy, run: runExtendedCopy},
		{name: "RECEIVE COPY STATUS(LID1)", opcode: opReceiveCopy, action: saCopyStatus, length: 16, usage: useCopy,
			access: accessReady, parse: parseReceiveCopy, run: runCopyStatus},
		{name: "RECEIVE COPY OPERATING PARAMETERS", opcode: opReceiveCopy, action: saCopyParameters, length: 16,
			usage: useCopy, access: accessReady, parse: parseReceiveCopy, run: runCopyParameters},
	}
	return append(list, []*command{
		{name: "READ CAPACITY(16)", opcode: opServiceActionIn16, action: saReadCapacity16, length: 16,
			usage: []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}, access: accessReady, medium: true,
			parse: parseAlloc32At10, run: runReadCapacity16},
		{name: "GET LBA STATUS", opcode: opServiceActionIn16, action: saGetLBAStatus, length: 16,
			usage: withFirst(0, use16), access: accessRead, medium: true, parse: parseGetLBAStatus, run: runGetLBAStatus},
		{name: "REPORT TARGET PORT GROUPS", opcode: opMaintenanceIn, action: saReportTargetGroups, length: 12,
			usage: withFirst(0xe0, useAl12), access: accessReady, parse: parseReportGroups, run: runReportGroups},
		{name: "REPORT SUPPORTED OPERATION CODES", opcode: opMaintenanceIn, action: saReportOpcodes, length: 12,
			usage: []byte{0, 0x87, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, access: accessReady,
			parse: parseReportOpcodes, run: runReportOpcodes},
		{name: "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS", opcode: opMaintenanceIn, action: saReportTaskFuncs,
			length: 12, usage: []byte{0, 0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}, access: accessReady,
			parse: parseReportTasks, run: runReportTasks},
	}...)
}
