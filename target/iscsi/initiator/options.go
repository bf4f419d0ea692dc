package initiator

import (
	"errors"
	"fmt"
	"time"

	"github.com/weirstor/weir/target/iscsi/scsi"
)

// Errors of a session.
var (
	ErrClosed   = errors.New("session is closed")
	ErrLogin    = errors.New("login refused")
	ErrProtocol = errors.New("target breaks the protocol")
)

// Options set up a session. The zero Options are ready to use.
type Options struct {
	Name string  // initiator name; default iqn.2026-11.io.weir.initiator:default
	ISID [6]byte // tells sessions of one initiator to one target apart; the zero ISID means a fixed one

	LUN byte // logical unit number; default 0

	User, Secret             string // CHAP, if User is set
	MutualUser, MutualSecret string // what the target must prove to be, if MutualUser is set

	HeaderDigest, DataDigest bool // ask for CRC-32C

	NoImmediateData bool // send no data with commands
	InitialR2T      bool // send no data that was not asked for

	MaxRecv    int // longest data segment taken, in bytes; default 256 KiB
	MaxBurst   int // default 1 MiB
	FirstBurst int // default 256 KiB
	MaxR2T     int // default 8

	LoginTimeout time.Duration // for connecting and logging in; default 15 s
}

const (
	defaultName    = "iqn.2026-11.io.weir.initiator:default"
	defaultTimeout = 15 * time.Second
)

func (o Options) withDefaults() Options {
	if o.Name == "" {
		o.Name = defaultName
	}
	if o.ISID == [6]byte{} {
		o.ISID = [6]byte{0x80, 0x57, 0x45, 0x49, 0, 1} // random format (RFC 7143, section 11.12.5)
	}
	orElse(&o.MaxRecv, 256<<10)
	orElse(&o.MaxBurst, 1<<20)
	orElse(&o.FirstBurst, 256<<10)
	orElse(&o.MaxR2T, 8)
	if o.LoginTimeout <= 0 {
		o.LoginTimeout = defaultTimeout
	}
	return o
}

func orElse(v *int, def int) {
	if *v <= 0 {
		*v = def
	}
}

// StatusError is a command that did not end with GOOD.
type StatusError struct {
	Status scsi.Status
	Sense  []byte // sense data, empty unless Status is CheckCondition
}

// Code returns sense key, additional sense code and qualifier; 0 without sense data.
func (e *StatusError) Code() scsi.Code {
	s := e.Sense
	switch {
	case len(s) >= 14 && s[0]&0x7e == 0x70:
		return scsi.Code(s[2]&0x0f)<<16 | scsi.Code(s[12])<<8 | scsi.Code(s[13])
	case len(s) >= 4 && s[0]&0x7e == 0x72:
		return scsi.Code(s[1]&0x0f)<<16 | scsi.Code(s[2])<<8 | scsi.Code(s[3])
	}
	return 0
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("SCSI status %#02x, sense %06x", byte(e.Status), uint32(e.Code()))
}
