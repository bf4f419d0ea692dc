package initiator

import (
	"fmt"
	"strconv"
	"time"

	"github.com/weirstor/weir/target/iscsi/wire"
)

// negotiated are the operational values that matter to this side (RFC 7143, section 13).
type negotiated struct {
	headerDigest, dataDigest  bool
	initialR2T, immediateData bool
	maxSend                   int // the target's MaxRecvDataSegmentLength
	firstBurst                int
}

func defaultNegotiated() negotiated {
	return negotiated{initialR2T: true, immediateData: true, maxSend: 8192, firstBurst: 65536}
}

// Stages of login (RFC 7143, section 11.12.3).
const (
	stageSecurity    = 0
	stageOperational = 1
	stageFull        = 3
	loginRounds      = 16
)

// loginState carries the login phase along.
type loginState struct {
	s     *Session
	stage byte
	tsih  uint16
	neg   negotiated // in force once the login is done
}

// login goes through security and operational negotiation.
func (s *Session) login() error {
	if err := s.nc.SetDeadline(time.Now().Add(s.opt.LoginTimeout)); err != nil {
		return err
	}
	l := &loginState{s: s, neg: s.neg}
	s.rd.MaxData = 64 << 10
	if err := l.security(); err != nil {
		return err
	}
	if err := l.operational(); err != nil {
		return err
	}
	s.neg = l.neg
	s.rd.HeaderDigest, s.rd.DataDigest = l.neg.headerDigest, l.neg.dataDigest
	s.rd.MaxData = max(s.opt.MaxRecv, 64<<10)
	return s.nc.SetDeadline(time.Time{})
}

func (l *loginState) security() error {
	o := l.s.opt
	pairs := []wire.Pair{{Key: "InitiatorName", Value: o.Name}}
	if l.s.iqn == "" {
		pairs = append(pairs, wire.Pair{Key: "SessionType", Value: "Discovery"})
	} else {
		pairs = append(pairs, wire.Pair{Key: "SessionType", Value: "Normal"}, wire.Pair{Key: "TargetName", Value: l.s.iqn})
	}
	if o.User == "" {
		_, err := l.ask(append(pairs, wire.Pair{Key: "AuthMethod", Value: "None"}), stageOperational)
		return err
	}
	answer, err := l.ask(append(pairs, wire.Pair{Key: "AuthMethod", Value: "CHAP"}), stageSecurity)
	if err != nil {
		return err
	}
	if m, _ := wire.Lookup(answer, "AuthMethod"); m != "CHAP" {
		return fmt.Errorf("%w: AuthMethod %q, want CHAP", ErrLogin, m)
	}
	return l.chap()
}

// chap is RFC 7143, section 12.1.3.
func (l *loginState) chap() error {
	o := l.s.opt
	answer, err := l.ask([]wire.Pair{{Key: "CHAP_A", Value: "7,5"}}, stageSecurity)
	if err != nil {
		return err
	}
	algorithm, _ := wire.Lookup(answer, "CHAP_A")
	idText, _ := wire.Lookup(answer, "CHAP_I")
	id, err := wire.ParseNumber(idText, 0, 255)
	if err != nil {
		return fmt.Errorf("CHAP_I: %w", err)
	}
	text, _ := wire.Lookup(answer, "CHAP_C")
	challenge, err := wire.ParseBinary(text, 1024)
	if err != nil {
		return fmt.Errorf("CHAP_C: %w", err)
	}
	response := wire.CHAPResponse(algorithm, byte(id), []byte(o.Secret), challenge)
	pairs := []wire.Pair{{Key: "CHAP_N", Value: o.User}, {Key: "CHAP_R", Value: wire.FormatBinary(response)}}
	ours, ourID := []byte(nil), byte(0)
	if o.MutualUser != "" {
		ourID, ours = wire.CHAPChallenge()
		pairs = append(pairs, wire.Pair{Key: "CHAP_I", Value: strconv.Itoa(int(ourID))},
			wire.Pair{Key: "CHAP_C", Value: wire.FormatBinary(ours)})
	}
	if answer, err = l.ask(pairs, stageOperational); err != nil || o.MutualUser == "" {
		return err
	}
	name, _ := wire.Lookup(answer, "CHAP_N")
	text, _ = wire.Lookup(answer, "CHAP_R")
	got, err := wire.ParseBinary(text, 1024)
	if err != nil {
		return fmt.Errorf("CHAP_R: %w", err)
	}
	want := wire.CHAPResponse(algorithm, ourID, []byte(o.MutualSecret), ours)
	if name != o.MutualUser || !wire.CHAPEqual(got, want) {
		return fmt.Errorf("%w: the target is not %s", ErrLogin, o.MutualUser)
	}
	return nil
}

func (l *loginState) operational() error {
	o := l.s.opt
	digests := func(on bool) string {
		if on {
			return "CRC32C"
		}
		return "None"
	}
	answer, err := l.ask([]wire.Pair{
		{Key: "HeaderDigest", Value: digests(o.HeaderDigest)},
		{Key: "DataDigest", Value: digests(o.DataDigest)},
		{Key: "InitialR2T", Value: wire.FormatBool(o.InitialR2T)},
		{Key: "ImmediateData", Value: wire.FormatBool(!o.NoImmediateData)},
		{Key: "MaxRecvDataSegmentLength", Value: strconv.Itoa(o.MaxRecv)},
		{Key: "MaxBurstLength", Value: strconv.Itoa(o.MaxBurst)},
		{Key: "FirstBurstLength", Value: strconv.Itoa(min(o.FirstBurst, o.MaxBurst))},
		{Key: "MaxOutstandingR2T", Value: strconv.Itoa(o.MaxR2T)},
		{Key: "MaxConnections", Value: "1"},
		{Key: "DefaultTime2Wait", Value: "2"},
		{Key: "DefaultTime2Retain", Value: "0"},
		{Key: "DataPDUInOrder", Value: "Yes"},
		{Key: "DataSequenceInOrder", Value: "Yes"},
		{Key: "ErrorRecoveryLevel", Value: "0"},
	}, stageFull)
	if err != nil {
		return err
	}
	for _, p := range answer {
		if err := l.note(p); err != nil {
			return fmt.Errorf("%s: %w", p.Key, err)
		}
	}
	return nil
}

// note takes the target's answer to an operational key.
func (l *loginState) note(p wire.Pair) error {
	var err error
	number := func(to *int, lo, hi uint64) {
		var n uint64
		n, err = wire.ParseNumber(p.Value, lo, hi)
		*to = int(n)
	}
	switch p.Key {
	case "HeaderDigest":
		l.neg.headerDigest = p.Value == "CRC32C"
	case "DataDigest":
		l.neg.dataDigest = p.Value == "CRC32C"
	case "InitialR2T":
		l.neg.initialR2T, err = wire.ParseBool(p.Value)
	case "ImmediateData":
		l.neg.immediateData, err = wire.ParseBool(p.Value)
	case "MaxRecvDataSegmentLength":
		number(&l.neg.maxSend, 512, 1<<24-1)
	case "FirstBurstLength":
		number(&l.neg.firstBurst, 512, 1<<24-1)
	}
	return err
}

// ask sends pairs, wanting to go to stage next (or to stay), and returns all that the target says until it agrees.
func (l *loginState) ask(pairs []wire.Pair, next byte) ([]wire.Pair, error) {
	var answers []wire.Pair
	text := wire.AppendText(nil, pairs...)
	for range loginRounds {
		r, data, err := l.round(text, next)
		if err != nil {
			return nil, err
		}
		text = nil
		got, err := wire.ParseText(data)
		if err != nil {
			return nil, err
		}
		answers = append(answers, got...)
		if r.Flags()&wire.Continue != 0 {
			continue
		}
		if next == l.stage {
			return answers, nil
		}
		if r.Flags()&wire.Transit != 0 {
			if got := r.Flags() & 3; got != next {
				return nil, fmt.Errorf("%w: stage %d, want %d", ErrProtocol, got, next)
			}
			l.stage = next
			return answers, nil
		}
	}
	return nil, fmt.Errorf("%w: login takes more than %d requests", ErrLogin, loginRounds)
}

// round sends one login request and returns its answer.
func (l *loginState) round(text []byte, next byte) (wire.Header, []byte, error) {
	s := l.s
	var h wire.Header
	h.SetOpcode(wire.LoginReq)
	h.SetImmediate()
	h.SetFlags(l.stage << 2)
	if next != l.stage {
		h.SetFlags(wire.Transit | l.stage<<2 | next)
	}
	copy(h[wire.OffISID:], s.opt.ISID[:])
	h[wire.OffTSIH], h[wire.OffTSIH+1] = byte(l.tsih>>8), byte(l.tsih)
	h.SetITT(1)
	h.SetWord(wire.OffCmdSN, 1)
	h.SetWord(wire.OffExpStatSN, s.expStatSN)
	if _, err := s.nc.Write(wire.AppendPDU(nil, &h, text, false, false)); err != nil {
		return h, nil, err
	}
	var r wire.Header
	if _, err := s.rd.Next(&r); err != nil {
		return r, nil, err
	}
	data := make([]byte, r.DataLen())
	if err := s.rd.Data(data, len(data)); err != nil {
		return r, nil, err
	}
	if r.Opcode() != wire.LoginResp {
		return r, nil, fmt.Errorf("%w: opcode %#x during login", ErrProtocol, r.Opcode())
	}
	if status := uint16(r.Word(wire.OffLoginState) >> 16); status != 0 {
		return r, nil, &LoginError{status}
	}
	s.expStatSN = r.Word(wire.OffStatSN) + 1
	s.cmdSN, s.maxCmdSN = r.Word(wire.OffExpCmdSN), r.Word(wire.OffMaxCmdSN)
	return r, data, nil
}

// LoginError is a login that the target refused.
type LoginError struct {
	Status uint16 // class and detail (RFC 7143, section 11.13.5)
}

func (e *LoginError) Error() string { return fmt.Sprintf("%v: status %#04x", ErrLogin, e.Status) }

// Unwrap returns ErrLogin.
func (e *LoginError) Unwrap() error { return ErrLogin }
