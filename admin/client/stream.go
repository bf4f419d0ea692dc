package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/weirstor/weir/admin/api"
)

// eventBytesMax bounds one line of a stream.
const eventBytesMax = 16 << 20

// errEnded says that a stream ended before its result.
var errEnded = errors.New("the daemon ended the call before its result")

// long makes a call that reports progress.
func (c *Client) long(ctx context.Context, path string, report func(api.Progress), out any) error {
	resp, err := c.send(ctx, http.MethodPost, path, "text/event-stream", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return decodeAnswer(resp, nil)
	}
	finished := false
	err = readStream(resp.Body, func(kind string, data []byte) (bool, error) {
		switch kind {
		case "progress":
			var p api.Progress
			if err := json.Unmarshal(data, &p); err == nil && report != nil {
				report(p)
			}
			return false, nil
		case "problem":
			finished = true
			return true, problem(http.StatusOK, strings.NewReader(string(data)))
		case "result":
			finished = true
			return true, json.Unmarshal(data, out)
		}
		return false, nil
	})
	if err == nil && !finished {
		err = fmt.Errorf("%w: %w", api.ErrUnavailable, errEnded)
	}
	return c.streamError(ctx, err)
}

// streamError names what ended a stream.
func (c *Client) streamError(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w: %w", api.ErrTimeout, context.Cause(ctx))
	}
	return err
}

// Events calls event for each kept and each later event, and state, when not nil, for the status once a second. It
// returns when ctx ends or the daemon goes.
func (c *Client) Events(ctx context.Context, event func(api.Event), state func(api.Status)) error {
	path := root + "/events"
	if state != nil {
		path += "?status"
	}
	resp, err := c.send(ctx, http.MethodGet, path, "text/event-stream", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return decodeAnswer(resp, nil)
	}
	err = readStream(resp.Body, func(kind string, data []byte) (bool, error) {
		switch kind {
		case "event":
			var e api.Event
			if err := json.Unmarshal(data, &e); err != nil {
				return true, err
			}
			event(e)
		case "status":
			var s api.Status
			if err := json.Unmarshal(data, &s); err != nil {
				return true, err
			}
			if state != nil {
				state(s)
			}
		}
		return false, nil
	})
	return c.streamError(ctx, err)
}

// readStream parses server-sent events (WHATWG HTML, section 9.2.6) of one data line each until visit says stop.
func readStream(r io.Reader, visit func(kind string, data []byte) (stop bool, err error)) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 64<<10), eventBytesMax)
	var kind string
	var data []byte
	for sc.Scan() {
		line := sc.Text()
		if line == "" {
			if data != nil {
				if stop, err := visit(kind, data); stop || err != nil {
					return err
				}
			}
			kind, data = "", nil
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			kind = value
		case "data":
			data = []byte(value)
		}
	}
	return sc.Err()
}
