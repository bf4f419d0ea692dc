package iscsi

import (
	"fmt"
	"strconv"

	"github.com/weirstor/weir/target/iscsi/wire"
)

// maxSendMost bounds the data segments that we send, whatever the initiator takes, in bytes.
const maxSendMost = 1 << 20

// negotiated are the values of the operational keys (RFC 7143, section 13), first their defaults.
type negotiated struct {
	headerDigest, dataDigest  bool
	initialR2T, immediateData bool
	maxSend                   int // the initiator's MaxRecvDataSegmentLength
	maxBurst, firstBurst      int
	maxR2T                    int

	seen map[string]bool // keys that were negotiated; each may be once
}

func defaultNegotiated() negotiated {
	return negotiated{initialR2T: true, immediateData: true, maxSend: 8192, maxBurst: 262144, firstBurst: 65536, maxR2T: 1,
		seen: make(map[string]bool)}
}

// negotiable has a rule for each operational key. A rule takes the initiator's value, sets the result and returns the
// answer; an empty answer means that the key is only declared.
var negotiable = map[string]func(n *negotiated, value string) (string, error){
	"HeaderDigest": func(n *negotiated, v string) (string, error) { return digest(&n.headerDigest, v) },
	"DataDigest":   func(n *negotiated, v string) (string, error) { return digest(&n.dataDigest, v) },
	"InitialR2T": func(n *negotiated, v string) (string, error) { // OR; we would do without
		return boolean(&n.initialR2T, v, func(theirs bool) bool { return theirs })
	},
	"ImmediateData": func(n *negotiated, v string) (string, error) { // AND; we take it
		return boolean(&n.immediateData, v, func(theirs bool) bool { return theirs })
	},
	"MaxRecvDataSegmentLength": func(n *negotiated, v string) (string, error) {
		size, err := wire.ParseNumber(v, 512, 1<<24-1)
		n.maxSend = min(int(size), maxSendMost)
		return "", err
	},
	"MaxBurstLength": func(n *negotiated, v string) (string, error) {
		return smaller(&n.maxBurst, v, 512, 1<<24-1, ourMaxBurst)
	},
	"FirstBurstLength": func(n *negotiated, v string) (string, error) {
		return smaller(&n.firstBurst, v, 512, 1<<24-1, ourFirstBurst)
	},
	"MaxOutstandingR2T": func(n *negotiated, v string) (string, error) {
		return smaller(&n.maxR2T, v, 1, 65535, ourMaxR2T)
	},
	"MaxConnections":      fixedNumber(1, 65535, func(uint64) uint64 { return 1 }),
	"ErrorRecoveryLevel":  fixedNumber(0, 2, func(uint64) uint64 { return 0 }),
	"DefaultTime2Wait":    fixedNumber(0, 3600, func(v uint64) uint64 { return max(v, 2) }),
	"DefaultTime2Retain":  fixedNumber(0, 3600, func(uint64) uint64 { return 0 }),
	"iSCSIProtocolLevel":  fixedNumber(0, 31, func(v uint64) uint64 { return min(v, 1) }),
	"DataPDUInOrder":      fixedBool(true),
	"DataSequenceInOrder": fixedBool(true),
	"IFMarker":            fixedBool(false), // obsolete (section 13.25)
	"OFMarker":            fixedBool(false),
	"IFMarkInt":           func(*negotiated, string) (string, error) { return "Reject", nil },
	"OFMarkInt":           func(*negotiated, string) (string, error) { return "Reject", nil },
	"TaskReporting":       func(*negotiated, string) (string, error) { return "RFC3720", nil },
}

func digest(on *bool, offers string) (string, error) {
	v, ok := wire.Choose(offers, "CRC32C", "None")
	if !ok {
		return "Reject", nil
	}
	*on = v == "CRC32C"
	return v, nil
}

func boolean(to *bool, v string, result func(theirs bool) bool) (string, error) {
	theirs, err := wire.ParseBool(v)
	if err != nil {
		return "", err
	}
	*to = result(theirs)
	return wire.FormatBool(*to), nil
}

func smaller(to *int, v string, lo, hi, ours uint64) (string, error) {
	n, err := wire.ParseNumber(v, lo, hi)
	if err != nil {
		return "", err
	}
	*to = int(min(n, ours))
	return strconv.Itoa(*to), nil
}

func fixedNumber(lo, hi uint64, result func(uint64) uint64) func(*negotiated, string) (string, error) {
	return func(_ *negotiated, v string) (string, error) {
		n, err := wire.ParseNumber(v, lo, hi)
		return strconv.FormatUint(result(n), 10), err
	}
}

func fixedBool(answer bool) func(*negotiated, string) (string, error) {
	return func(_ *negotiated, v string) (string, error) {
		_, err := wire.ParseBool(v)
		return wire.FormatBool(answer), err
	}
}

// answer applies one key. known is false for a key that has no rule.
func (n *negotiated) answer(p wire.Pair) (reply string, known bool, err error) {
	rule := negotiable[p.Key]
	if rule == nil {
		return "", false, nil
	}
	if n.seen[p.Key] {
		return "", true, fmt.Errorf("%w: %s negotiated twice", wire.ErrValue, p.Key)
	}
	n.seen[p.Key] = true
	if p.Value == "NotUnderstood" || p.Value == "Reject" || p.Value == "Irrelevant" {
		return "", true, nil
	}
	if reply, err = rule(n, p.Value); err != nil {
		return "", true, fmt.Errorf("%s: %w", p.Key, err)
	}
	return reply, true, nil
}

// settle brings FirstBurstLength below MaxBurstLength (section 13.14).
func (n *negotiated) settle() {
	n.firstBurst = min(n.firstBurst, n.maxBurst)
	n.seen = nil
}
