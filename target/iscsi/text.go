package iscsi

import (
	"strconv"
	"strings"

	"github.com/weirstor/weir/target/iscsi/wire"
)

// textExchange is the state of a text negotiation, which may take several PDUs each way (RFC 7143, section 7.2).
type textExchange struct {
	request []byte // so far
	answer  []byte // not sent yet
	ttt     uint32 // tag of the exchange; 0 when none is open
}

// onText takes a text request.
func (c *conn) onText(h *wire.Header, n int) error {
	data := make([]byte, n)
	if err := c.rd.Data(data, n); err != nil {
		return err
	}
	verdict, err := c.accept(h)
	if err != nil {
		return c.violation(h, err.Error())
	}
	if verdict == ignore {
		return nil
	}
	x := &c.text
	if ttt := h.Word(wire.OffTTT); ttt == wire.NoTag {
		*x = textExchange{} // a new request ends what was open (section 11.10.4)
	} else if ttt != x.ttt || x.ttt == 0 {
		c.reject(h, rejectField)
		return nil
	}
	if len(x.request)+n > textMax {
		return c.violation(h, "text is too long")
	}
	x.request = append(x.request, data...)
	if h.Flags()&wire.Continue != 0 {
		c.sendText(h, nil, false)
		return nil
	}
	if len(x.answer) == 0 {
		pairs, err := wire.ParseText(x.request)
		if err != nil {
			return c.violation(h, err.Error())
		}
		x.answer, x.request = c.answerText(pairs), nil
	}
	part := x.answer[:min(len(x.answer), c.neg.maxSend)]
	x.answer = x.answer[len(part):]
	c.sendText(h, part, len(x.answer) == 0)
	return nil
}

// sendText answers with part; the exchange stays open unless it is the last.
func (c *conn) sendText(h *wire.Header, part []byte, last bool) {
	var r wire.Header
	r.SetOpcode(wire.TextResp)
	r.SetITT(h.ITT())
	r.SetLUN(h.LUN())
	x := &c.text
	if last {
		r.SetFlags(wire.Final)
		r.SetWord(wire.OffTTT, wire.NoTag)
		*x = textExchange{}
	} else {
		if len(part) > 0 {
			r.SetFlags(wire.Continue)
		}
		if x.ttt == 0 {
			c.mu.Lock()
			x.ttt = c.newTTT()
			c.mu.Unlock()
		}
		r.SetWord(wire.OffTTT, x.ttt)
	}
	c.reply(&r, part)
}

// answerText answers the keys that are allowed in full feature phase (RFC 7143, section 13).
func (c *conn) answerText(pairs []wire.Pair) []byte {
	var out []byte
	for _, p := range pairs {
		switch p.Key {
		case "SendTargets":
			out = c.appendTargets(out, p.Value)
		case "MaxRecvDataSegmentLength":
			if n, err := wire.ParseNumber(p.Value, 512, 1<<24-1); err == nil {
				c.neg.maxSend = min(int(n), maxSendMost)
			} else {
				out = wire.AppendText(out, wire.Pair{Key: p.Key, Value: "Reject"})
			}
		case "InitiatorAlias":
		default:
			v := "NotUnderstood"
			if _, known := negotiable[p.Key]; known {
				v = "Reject" // only during login
			}
			out = wire.AppendText(out, wire.Pair{Key: p.Key, Value: v})
		}
	}
	return out
}

// appendTargets answers SendTargets: All in a discovery session, one name, or in a normal session nothing, which
// means the target itself (RFC 7143, appendix C).
func (c *conn) appendTargets(out []byte, value string) []byte {
	portals := c.portals()
	one := func(name string) {
		out = wire.AppendText(out, wire.Pair{Key: "TargetName", Value: name})
		for _, p := range portals {
			out = wire.AppendText(out, wire.Pair{Key: "TargetAddress", Value: p + "," + strconv.Itoa(ourPortGroup)})
		}
	}
	switch {
	case value == "" && c.nexus != nil:
		one(c.info.IQN)
	case value == "All" && c.nexus == nil:
		for _, t := range c.srv.targets.List() {
			if t.Access.admits(c.id.initiator, c.nc.RemoteAddr()) {
				one(t.IQN)
			}
		}
	case value == "All" || value == "":
		return wire.AppendText(out, wire.Pair{Key: "SendTargets", Value: "Reject"})
	default:
		if _, info, err := c.srv.targets.Target(value); err == nil && info.Access.admits(c.id.initiator, c.nc.RemoteAddr()) {
			one(info.IQN)
		}
	}
	return out
}

// portals are the addresses that discovery tells: those set, else the one that the client connected to, and after it
// the others of the server.
func (c *conn) portals() []string {
	if c.srv.opt.PortalAddress != "" {
		return strings.Split(c.srv.opt.PortalAddress, ",")
	}
	own := c.nc.LocalAddr().String()
	out := []string{own}
	for _, p := range c.srv.opt.Portals {
		if p != own {
			out = append(out, p)
		}
	}
	return out
}
