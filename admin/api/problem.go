package api

import (
	"errors"
	"fmt"
	"net/http"
)

// The errors that a Backend answers with (wrapped, with what went wrong) and that the client gives back. Each has a
// problem code and an HTTP status; everything else is reported as internal.
var (
	ErrInvalid      = errors.New("invalid request")
	ErrUnauthorized = errors.New("not authorized")
	ErrNotFound     = errors.New("not found")
	ErrConflict     = errors.New("conflict")
	ErrUnsupported  = errors.New("not offered by this role")
	ErrUnavailable  = errors.New("not available now")
	ErrDiffers      = errors.New("content differs")
	ErrTimeout      = errors.New("timed out")
	ErrInternal     = errors.New("internal error")
)

var kinds = []struct {
	err    error
	code   string
	status int
}{
	{ErrInvalid, "invalid", http.StatusBadRequest},
	{ErrUnauthorized, "unauthorized", http.StatusUnauthorized},
	{ErrNotFound, "not-found", http.StatusNotFound},
	{ErrConflict, "conflict", http.StatusConflict},
	{ErrUnsupported, "unsupported", http.StatusNotImplemented},
	{ErrUnavailable, "unavailable", http.StatusServiceUnavailable},
	{ErrDiffers, "differs", http.StatusConflict},
	{ErrTimeout, "timeout", http.StatusGatewayTimeout},
	{ErrInternal, "internal", http.StatusInternalServerError},
}

// Problem is the body of every error answer: RFC 9457 problem details, media type application/problem+json.
type Problem struct {
	Type   string `json:"type" doc:"urn:weir:problem:CODE"`
	Title  string `json:"title"`
	Status int    `json:"status" doc:"HTTP status code"`
	Detail string `json:"detail,omitempty" doc:"what went wrong, for a person"`
	Action string `json:"action,omitempty" doc:"what to do about it"`
}

// ProblemMediaType is the content type of a Problem.
const ProblemMediaType = "application/problem+json"

const problemPrefix = "urn:weir:problem:"

// ProblemOf describes err. An error that wraps none of the sentinels is internal; one that has an Action method
// brings the advice along.
func ProblemOf(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	k := kinds[len(kinds)-1]
	for _, c := range kinds {
		if errors.Is(err, c.err) {
			k = c
			break
		}
	}
	p = &Problem{Type: problemPrefix + k.code, Title: k.err.Error(), Status: k.status, Detail: err.Error()}
	var a interface{ Action() string }
	if errors.As(err, &a) {
		p.Action = a.Action()
	}
	return p
}

func (p *Problem) Error() string {
	s := p.Detail
	if s == "" {
		s = p.Title
	}
	if p.Action != "" {
		s += " (" + p.Action + ")"
	}
	return s
}

// Unwrap returns the sentinel that p stands for, so that errors.Is sees through the wire.
func (p *Problem) Unwrap() error {
	for _, k := range kinds {
		if p.Type == problemPrefix+k.code {
			return k.err
		}
	}
	return ErrInternal
}

// advised is an error with advice.
type advised struct {
	error
	action string
}

func (e advised) Action() string { return e.action }
func (e advised) Unwrap() error  { return e.error }

// Advise returns err with what a person can do about it.
func Advise(err error, format string, args ...any) error {
	return advised{err, fmt.Sprintf(format, args...)}
}
