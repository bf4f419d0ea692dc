package iscsi

import (
	"strconv"

	"github.com/weirstor/weir/target/iscsi/wire"
)

// challengeMax bounds CHAP challenges and responses of the initiator, in bytes (RFC 7143, section 12.1.3).
const challengeMax = 1024

// auth is the security negotiation: none, or CHAP one-way or mutual (RFC 7143, section 12.1.3).
type auth struct {
	access Access
	step   authStep
	got    map[string]string // CHAP keys of this request
	method string            // offered in this request

	user      string // who has proved to be it
	algorithm string
	id        byte
	challenge []byte
}

type authStep uint8

const (
	authStart      authStep = iota // nothing chosen
	authMethodSet                  // CHAP is chosen, CHAP_A is to come
	authChallenged                 // challenge sent, response is to come
	authDone
)

// satisfied reports whether the initiator may leave the security stage.
func (a *auth) satisfied() bool {
	return a.step == authDone || (a.step == authStart && len(a.access.Users) == 0)
}

// take stores a key until the request is complete.
func (a *auth) take(p wire.Pair) error {
	if p.Key == "AuthMethod" {
		a.method = p.Value
		return nil
	}
	if a.got == nil {
		a.got = make(map[string]string)
	}
	if _, twice := a.got[p.Key]; twice {
		return refuse(loginInitiatorError, "%s is there twice", p.Key)
	}
	a.got[p.Key] = p.Value
	return nil
}

// answer goes one step on with what the request brought.
func (a *auth) answer(out []byte) ([]byte, error) {
	got := a.got
	a.got = nil
	if a.method != "" {
		var err error
		if out, err = a.choose(out); err != nil {
			return nil, err
		}
	}
	if len(got) == 0 {
		return out, nil
	}
	switch {
	case a.step == authMethodSet && got["CHAP_A"] != "":
		return a.sendChallenge(out, got["CHAP_A"])
	case a.step == authChallenged && got["CHAP_R"] != "":
		return a.verify(out, got)
	}
	return nil, refuse(loginInitiatorError, "CHAP keys out of order")
}

// choose picks the method: CHAP if the target has users, else none.
func (a *auth) choose(out []byte) ([]byte, error) {
	offers := a.method
	a.method = ""
	if a.step != authStart {
		return nil, refuse(loginInitiatorError, "AuthMethod negotiated twice")
	}
	want, step := "None", authDone
	if len(a.access.Users) > 0 {
		want, step = "CHAP", authMethodSet
	}
	if _, ok := wire.Choose(offers, want); !ok {
		return nil, refuse(loginAuthFailed, "AuthMethod %s is required, %.40q offered", want, offers)
	}
	a.step = step
	return wire.AppendText(out, wire.Pair{Key: "AuthMethod", Value: want}), nil
}

func (a *auth) sendChallenge(out []byte, offers string) ([]byte, error) {
	algorithm, ok := wire.Choose(offers, wire.CHAPAlgorithms...)
	if !ok {
		return nil, refuse(loginAuthFailed, "no CHAP algorithm among %.40q", offers)
	}
	a.algorithm = algorithm
	a.id, a.challenge = wire.CHAPChallenge()
	a.step = authChallenged
	return wire.AppendText(out,
		wire.Pair{Key: "CHAP_A", Value: algorithm},
		wire.Pair{Key: "CHAP_I", Value: strconv.Itoa(int(a.id))},
		wire.Pair{Key: "CHAP_C", Value: wire.FormatBinary(a.challenge)}), nil
}

// verify checks the response, and answers the initiator's challenge if it sent one. Why a response is wrong is not
// told.
func (a *auth) verify(out []byte, got map[string]string) ([]byte, error) {
	response, err := wire.ParseBinary(got["CHAP_R"], challengeMax)
	if err != nil {
		return nil, refuse(loginInitiatorError, "CHAP_R: %w", err)
	}
	user := got["CHAP_N"]
	secret, known := a.access.secret(user)
	want := wire.CHAPResponse(a.algorithm, a.id, []byte(secret), a.challenge)
	if !wire.CHAPEqual(response, want) || !known {
		return nil, refuse(loginAuthFailed, "CHAP failed for user %.64q", user)
	}
	a.step, a.user = authDone, user
	challenge, asked := got["CHAP_C"]
	if !asked {
		return out, nil
	}
	return a.respond(out, got["CHAP_I"], challenge)
}

// respond proves the target to the initiator. A challenge that is ours sent back is refused (RFC 7143, section 12.1.3:
// no reflection).
func (a *auth) respond(out []byte, id, challenge string) ([]byte, error) {
	if a.access.Mutual == nil {
		return nil, refuse(loginAuthFailed, "mutual CHAP is not set up")
	}
	n, err := wire.ParseNumber(id, 0, 255)
	if err != nil {
		return nil, refuse(loginInitiatorError, "CHAP_I: %w", err)
	}
	theirs, err := wire.ParseBinary(challenge, challengeMax)
	if err != nil {
		return nil, refuse(loginInitiatorError, "CHAP_C: %w", err)
	}
	if string(theirs) == string(a.challenge) {
		return nil, refuse(loginAuthFailed, "CHAP challenge reflected")
	}
	r := wire.CHAPResponse(a.algorithm, byte(n), []byte(a.access.Mutual.Secret), theirs)
	return wire.AppendText(out,
		wire.Pair{Key: "CHAP_N", Value: a.access.Mutual.Name},
		wire.Pair{Key: "CHAP_R", Value: wire.FormatBinary(r)}), nil
}
