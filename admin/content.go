package admin

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/weirstor/weir/admin/api"
)

// Content is the bytes of one volume of a clone.
type Content interface {
	Size() int64
	// ReadAt fills p with the content at off.
	ReadAt(p []byte, off int64) error
	// DataRanges returns ranges of [off, off+n) outside of which everything is zero, in address order.
	DataRanges(off, n int64) ([]api.Range, error)
}

// contentStep is how much of a volume is read at a time.
const contentStep = 1 << 20

// rangesMax bounds the ranges of one answer, and rangesSpan what they describe.
const (
	rangesMax  = 4096
	rangesSpan = 64 << 30
)

// content streams bytes of a volume of a clone. It needs the token even where reading is open to all.
func (s *Server) content(w http.ResponseWriter, r *http.Request, req *request) error {
	c, off, n, err := s.contentRange(r.Context(), req)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
	w.WriteHeader(http.StatusOK)
	buf := make([]byte, min(n, contentStep))
	for end := off + n; off < end && r.Context().Err() == nil; {
		p := buf[:min(end-off, contentStep)]
		if err := c.ReadAt(p, off); err != nil {
			s.log.Warn("content of a clone", "offset", off, "err", err)
			panic(http.ErrAbortHandler) // the answer has begun: cutting it off is what the caller notices
		}
		if _, err := w.Write(p); err != nil {
			return nil // the caller is gone
		}
		off += int64(len(p))
	}
	return nil
}

// contentRange returns the volume that is asked for, and the range: to the end when no length is given.
func (s *Server) contentRange(ctx context.Context, r *request) (c Content, off, n int64, err error) {
	if c, err = s.backend.CloneContent(ctx, r.segment("clone"), r.segment("volume")); err != nil {
		return nil, 0, 0, err
	}
	if off, err = r.integer("off"); err == nil {
		n, err = r.integer("len")
	}
	if err == nil && (off > c.Size() || n > c.Size()-off) {
		err = fmt.Errorf("%w: %d bytes at %d of a volume of %d", api.ErrInvalid, n, off, c.Size())
	}
	if n == 0 {
		n = c.Size() - off
	}
	return c, off, n, err
}

// contentRanges answers which parts of a volume of a clone are not zero.
func (s *Server) contentRanges(ctx context.Context, r *request) (any, error) {
	c, off, n, err := s.contentRange(ctx, r)
	if err != nil {
		return nil, err
	}
	n = min(n, rangesSpan)
	list, err := c.DataRanges(off, n)
	if err != nil {
		return nil, err
	}
	out := api.CloneRanges{Items: []api.Range{}, Next: off + n}
	if len(list) > rangesMax {
		out.Next = list[rangesMax].Off
		list = list[:rangesMax]
	}
	out.Items = append(out.Items, list...)
	return out, nil
}
