package initiator

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/weirstor/weir/target/iscsi/wire"
)

// Target is one target that discovery found.
type Target struct {
	IQN     string
	Portals []string // host:port, with ",group" cut off
}

// Discover asks addr (host:port) for its targets (RFC 7143, appendix C).
func Discover(ctx context.Context, addr string, opt Options) ([]Target, error) {
	s, err := connect(ctx, addr, "", opt)
	if err != nil {
		return nil, err
	}
	text, err := s.Text(wire.AppendText(nil, wire.Pair{Key: "SendTargets", Value: "All"}))
	if err = errors.Join(err, s.Logout()); err != nil {
		return nil, err
	}
	pairs, err := wire.ParseText(text)
	if err != nil {
		return nil, err
	}
	var found []Target
	for _, p := range pairs {
		switch {
		case p.Key == "TargetName":
			found = append(found, Target{IQN: p.Value})
		case p.Key == "TargetAddress" && len(found) > 0:
			portal, _, _ := strings.Cut(p.Value, ",")
			last := &found[len(found)-1]
			last.Portals = append(last.Portals, portal)
		}
	}
	return found, nil
}

// Text sends a text request and returns the whole answer, which may come in parts (RFC 7143, section 11.10).
func (s *Session) Text(request []byte) ([]byte, error) {
	var answer []byte
	ttt := uint32(wire.NoTag)
	for range 1024 {
		var h wire.Header
		h.SetOpcode(wire.TextReq)
		h.SetImmediate()
		h.SetFlags(wire.Final)
		h.SetWord(wire.OffTTT, ttt)
		c := s.newCall()
		if err := s.exchange(c, &h, request); err != nil {
			return nil, err
		}
		answer = append(answer, c.data...)
		ttt, request = c.answer.Word(wire.OffTTT), nil
		if c.answer.Flags()&wire.Final != 0 {
			return answer, nil
		}
	}
	return nil, fmt.Errorf("%w: endless text", ErrProtocol)
}

// Ping sends data and returns what comes back (NOP-Out; RFC 7143, section 11.18).
func (s *Session) Ping(data []byte) ([]byte, error) {
	var h wire.Header
	h.SetOpcode(wire.NopOut)
	h.SetFlags(wire.Final)
	h.SetWord(wire.OffTTT, wire.NoTag)
	c := s.newCall()
	if err := s.exchange(c, &h, data); err != nil {
		return nil, err
	}
	return c.data, nil
}

// Task management functions (RFC 7143, section 11.5.1).
const (
	AbortTask       = 1
	AbortTaskSet    = 2
	ClearTaskSet    = 4
	LUNReset        = 5
	TargetWarmReset = 6
	TargetColdReset = 7
)

// Manage sends a task management function and returns its response code, 0 for complete. ref is the tag of the task
// to abort, for AbortTask.
func (s *Session) Manage(function byte, ref uint32) (byte, error) {
	var h wire.Header
	h.SetOpcode(wire.TaskRequest)
	h.SetImmediate()
	h.SetFlags(wire.Final | function)
	h.SetWord(wire.OffRefTask, ref)
	c := s.newCall()
	if err := s.exchange(c, &h, nil); err != nil {
		return 0, err
	}
	return c.answer[2], nil
}
