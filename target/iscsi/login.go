package iscsi

import (
	"errors"
	"fmt"
	"time"

	"github.com/weirstor/weir/target/iscsi/wire"
)

// Stages of login (RFC 7143, section 11.12.3).
const (
	stageSecurity    = 0
	stageOperational = 1
	stageFull        = 3
)

// loginStatus is class and detail of a login response (RFC 7143, section 11.13.5).
type loginStatus uint16

const (
	loginOK              loginStatus = 0x0000
	loginInitiatorError  loginStatus = 0x0200
	loginAuthFailed      loginStatus = 0x0201
	loginForbidden       loginStatus = 0x0202
	loginNotFound        loginStatus = 0x0203
	loginBadVersion      loginStatus = 0x0205
	loginTooMany         loginStatus = 0x0206
	loginMissing         loginStatus = 0x0207
	loginCantInclude     loginStatus = 0x0208
	loginBadSessionType  loginStatus = 0x0209
	loginNoSession       loginStatus = 0x020a
	loginInvalidRequest  loginStatus = 0x020b
	loginTargetError     loginStatus = 0x0300
	loginUnavailable     loginStatus = 0x0301
	loginOutOfResources  loginStatus = 0x0302
	nameMax                          = 223 // bytes of an iSCSI name (section 4.2.7.1)
	loginRoundsMax                   = 32  // PDUs of one login
	loginTextMaxResponse             = 8192
)

// loginError is a login that is refused with a status.
type loginError struct {
	status loginStatus
	err    error
}

func (e *loginError) Error() string {
	return fmt.Sprintf("login refused (%#04x): %v", uint16(e.status), e.err)
}
func (e *loginError) Unwrap() error { return e.err }

func refuse(s loginStatus, format string, args ...any) error {
	return &loginError{s, fmt.Errorf(format, args...)}
}

// login is the state of the login phase (RFC 7143, section 6.3). It is run by one goroutine before the session begins.
type login struct {
	c     *conn
	h     wire.Header // of the last request
	stage byte
	text  []byte // of the request, so far
	isid  [6]byte
	begun bool // the first request is done

	discovery bool
	auth      auth
	declared  bool // our own values are sent
}

// login carries out the login phase. After a nil error the session is registered and the last answer is sent.
func (c *conn) login() error {
	if err := c.nc.SetDeadline(time.Now().Add(c.srv.opt.LoginTimeout)); err != nil {
		return err
	}
	c.neg = defaultNegotiated()
	l := &login{c: c}
	for range loginRoundsMax {
		done, err := l.round()
		if err != nil {
			var refused *loginError
			if errors.As(err, &refused) {
				l.sendRefusal(refused.status)
			}
			return err
		}
		if done {
			return c.nc.SetDeadline(time.Time{})
		}
	}
	l.sendRefusal(loginInitiatorError)
	return fmt.Errorf("%w: login takes more than %d requests", errProtocol, loginRoundsMax)
}

// round takes one request and answers it.
func (l *login) round() (done bool, err error) {
	c := l.c
	if _, err := c.rd.Next(&l.h); err != nil {
		return false, err
	}
	n := l.h.DataLen()
	data := make([]byte, n)
	if err := c.rd.Data(data, n); err != nil {
		return false, err
	}
	if l.h.Opcode() != wire.LoginReq {
		return false, fmt.Errorf("%w: opcode %#x before the login", errProtocol, l.h.Opcode())
	}
	if err := l.check(); err != nil {
		return false, err
	}
	if len(l.text)+n > textMax {
		return false, refuse(loginInitiatorError, "login text is longer than %d bytes", textMax)
	}
	l.text = append(l.text, data...)
	if l.h.Flags()&wire.Continue != 0 {
		if l.h.Flags()&wire.Transit != 0 {
			return false, refuse(loginInvalidRequest, "both T and C are set")
		}
		l.send(nil, false, 0)
		return false, nil
	}
	return l.step()
}

// check holds the header against the ones before (section 11.12).
func (l *login) check() error {
	c, flags := l.c, l.h.Flags()
	csg := flags >> 2 & 3
	if !l.begun && len(l.text) == 0 {
		if l.h[3] > 0 { // Version-min; ours is 0
			return refuse(loginBadVersion, "version %d to %d wanted", l.h[3], l.h[2])
		}
		copy(l.isid[:], l.h[wire.OffISID:])
		l.stage = csg
		c.id.isid = l.isid
		c.id.cid = uint16(l.h.Word(wire.OffLoginCID) >> 16)
		c.tsih = uint16(l.h.Word(12))
		c.expCmdSN.Store(l.h.Word(wire.OffCmdSN))
		c.maxCmdSN.Store(c.expCmdSN.Load() - 1)
		c.depth = 1
		c.statSN = l.h.Word(wire.OffExpStatSN)
	}
	if csg != l.stage || csg > stageOperational {
		return refuse(loginInvalidRequest, "stage %d, want %d", csg, l.stage)
	}
	if next := flags & 3; flags&wire.Transit != 0 && (next <= csg || next == 2) {
		return refuse(loginInvalidRequest, "transit from stage %d to %d", csg, next)
	}
	if l.isid != [6]byte(l.h[wire.OffISID:wire.OffISID+6]) {
		return refuse(loginInvalidRequest, "ISID changed")
	}
	return nil
}

// step answers a complete text.
func (l *login) step() (done bool, err error) {
	pairs, err := wire.ParseText(l.text)
	if err != nil {
		return false, refuse(loginInitiatorError, "%w", err)
	}
	l.text = nil
	var out []byte
	if !l.begun {
		if out, err = l.identify(pairs); err != nil {
			return false, err
		}
		l.begun = true
	}
	for _, p := range pairs {
		if out, err = l.key(out, p); err != nil {
			return false, err
		}
	}
	if out, err = l.auth.answer(out); err != nil {
		return false, err
	}
	transit := l.h.Flags()&wire.Transit != 0
	next := l.h.Flags() & 3
	if l.stage == stageSecurity && transit && !l.auth.satisfied() {
		transit = false // there is more to say first
	}
	if l.stage == stageOperational && !l.auth.satisfied() {
		return false, refuse(loginAuthFailed, "authentication is required")
	}
	if !l.declared && (l.stage == stageOperational || (transit && next == stageFull)) {
		l.declared = true
		out = wire.AppendText(out, wire.Pair{Key: "MaxRecvDataSegmentLength", Value: fmt.Sprint(ourMaxRecv)})
	}
	return l.finish(out, transit, next)
}

// finish sends the answer of a step, before that entering the session if it is the last.
func (l *login) finish(out []byte, transit bool, next byte) (bool, error) {
	c := l.c
	if len(out) > loginTextMaxResponse {
		return false, refuse(loginInitiatorError, "answer of %d bytes is too long", len(out))
	}
	if !transit || next != stageFull {
		l.send(out, transit, next)
		if transit {
			l.stage = next
		}
		return false, nil
	}
	c.neg.settle()
	if err := l.enter(); err != nil {
		return false, err
	}
	c.depth = min(int32(c.srv.opt.QueueDepth), c.windowFor(c.srv.opt.Memory))
	l.send(out, true, next)
	c.out.mu.Lock()
	c.out.headerDigest, c.out.dataDigest = c.neg.headerDigest, c.neg.dataDigest
	c.out.mu.Unlock()
	return true, nil
}

// key answers one key.
func (l *login) key(out []byte, p wire.Pair) ([]byte, error) {
	switch p.Key {
	case "InitiatorName", "InitiatorAlias", "TargetName", "SessionType":
		return out, nil // identify has read them
	case "AuthMethod", "CHAP_A", "CHAP_I", "CHAP_C", "CHAP_N", "CHAP_R":
		if l.stage != stageSecurity {
			return nil, refuse(loginInvalidRequest, "%s outside the security stage", p.Key)
		}
		return out, l.auth.take(p)
	}
	reply, known, err := l.c.neg.answer(p)
	switch {
	case err != nil:
		return nil, refuse(loginInitiatorError, "%w", err)
	case !known:
		reply = "NotUnderstood"
	case reply == "":
		return out, nil
	}
	return wire.AppendText(out, wire.Pair{Key: p.Key, Value: reply}), nil
}

// identify reads who wants to talk to whom from the first request (section 6.3).
func (l *login) identify(pairs []wire.Pair) ([]byte, error) {
	c := l.c
	name, _ := wire.Lookup(pairs, "InitiatorName")
	if name == "" || len(name) > nameMax {
		return nil, refuse(loginMissing, "InitiatorName of %d bytes", len(name))
	}
	c.id.initiator = name
	kind, ok := wire.Lookup(pairs, "SessionType")
	if ok && kind != "Normal" && kind != "Discovery" {
		return nil, refuse(loginBadSessionType, "SessionType %.20q", kind)
	}
	if kind == "Discovery" {
		l.discovery = true
		l.auth.access = c.srv.opt.DiscoveryAccess
		return nil, l.admit()
	}
	iqn, _ := wire.Lookup(pairs, "TargetName")
	if iqn == "" || len(iqn) > nameMax {
		return nil, refuse(loginMissing, "TargetName of %d bytes", len(iqn))
	}
	_, info, err := c.srv.targets.Target(iqn)
	if errors.Is(err, ErrUnknownTarget) {
		return nil, refuse(loginNotFound, "%s: %w", iqn, err)
	} else if err != nil {
		return nil, refuse(loginUnavailable, "%s: %w", iqn, err)
	}
	c.info, l.auth.access = info, info.Access
	if err := l.admit(); err != nil {
		return nil, err
	}
	out := wire.AppendText(nil, wire.Pair{Key: "TargetPortalGroupTag", Value: fmt.Sprint(ourPortGroup)})
	if info.Alias != "" {
		out = wire.AppendText(out, wire.Pair{Key: "TargetAlias", Value: info.Alias})
	}
	return out, nil
}

func (l *login) admit() error {
	if !l.auth.access.admits(l.c.id.initiator, l.c.nc.RemoteAddr()) {
		return refuse(loginForbidden, "initiator %s may not log in from %s", l.c.id.initiator, l.c.nc.RemoteAddr())
	}
	return nil
}

// send answers the last request (section 11.13).
func (l *login) send(text []byte, transit bool, next byte) {
	c := l.c
	r := l.response()
	if transit {
		r.SetFlags(wire.Transit | l.stage<<2 | next)
		if next == stageFull {
			r[wire.OffTSIH], r[wire.OffTSIH+1] = byte(c.tsih>>8), byte(c.tsih)
		}
	}
	c.reply(&r, text)
	c.out.drain()
}

func (l *login) response() wire.Header {
	var r wire.Header
	r.SetOpcode(wire.LoginResp)
	r.SetFlags(l.stage << 2)
	copy(r[wire.OffISID:], l.isid[:])
	r[wire.OffTSIH], r[wire.OffTSIH+1] = l.h[wire.OffTSIH], l.h[wire.OffTSIH+1]
	r.SetITT(l.h.ITT())
	return r
}

func (l *login) sendRefusal(s loginStatus) {
	r := l.response()
	r[wire.OffLoginState], r[wire.OffLoginState+1] = byte(s>>8), byte(s)
	l.c.reply(&r, nil)
	l.c.out.drain()
}
