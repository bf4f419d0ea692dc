package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/weirstor/weir/admin/api"
)

// bodyBytesMax bounds what a request may carry.
const bodyBytesMax = 1 << 20

// request is one call, free of the web framework.
type request struct {
	http   *http.Request
	path   func(name string) string
	report func(api.Progress) // for long calls; never nil
}

// decode reads the JSON body into v: one value, no unknown field, at most bodyBytesMax bytes.
func (r *request) decode(v any) error {
	d := json.NewDecoder(io.LimitReader(r.http.Body, bodyBytesMax))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%w: body: %w", api.ErrInvalid, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: body: more than one JSON value", api.ErrInvalid)
	}
	return nil
}

// segment returns a path parameter, unescaped.
func (r *request) segment(name string) string {
	s := r.path(name)
	if u, err := url.PathUnescape(s); err == nil {
		return u
	}
	return s
}

// integer returns a query parameter, 0 when absent.
func (r *request) integer(name string) (int64, error) {
	s := r.http.URL.Query().Get(name)
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%w: query parameter %s: %q is not a number of bytes", api.ErrInvalid, name, s)
	}
	return n, nil
}

// seconds returns a query parameter as duration, 0 when absent.
func (r *request) seconds(name string) (time.Duration, error) {
	s := r.http.URL.Query().Get(name)
	if s == "" {
		return 0, nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !(f >= 0 && f <= 1e6) {
		return 0, fmt.Errorf("%w: query parameter %s: %q is not a number of seconds from 0 to 1000000",
			api.ErrInvalid, name, s)
	}
	return time.Duration(f * float64(time.Second)), nil
}

// wantsStream reports whether the caller asked for server-sent events.
func (r *request) wantsStream() bool {
	return strings.Contains(r.http.Header.Get("Accept"), "text/event-stream")
}
