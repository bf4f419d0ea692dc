package admin

import (
	"context"
	_ "embed"
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/weirstor/weir/admin/api"
)

// All that touches the web framework is in this file.

const apiRoot = "/api/v1"

//go:embed openapi.json
var openapiDocument []byte

// handler binds the routes to the framework.
func (s *Server) handler() (http.Handler, error) {
	page, err := s.page()
	if err != nil {
		return nil, err
	}
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = s.fail
	for _, r := range s.routes() {
		e.Add(r.Method, apiRoot+echoPath(r.Path), s.adapt(r))
	}
	e.GET(apiRoot+"/events", s.plain(http.HandlerFunc(s.events)))
	e.GET(apiRoot+"/openapi.json", func(c echo.Context) error {
		return c.Blob(http.StatusOK, "application/json", openapiDocument)
	})
	e.GET("/healthz", s.plain(http.HandlerFunc(s.healthz)))
	e.GET("/metrics", s.plain(promhttp.HandlerFor(s.registry(), promhttp.HandlerOpts{})))
	e.GET("/", s.plain(page))
	e.GET("/assets/*", s.plain(assets()))
	return s.guard(e), nil
}

// echoPath turns {name} into :name.
func echoPath(p string) string {
	return strings.NewReplacer("{", ":", "}", "").Replace(p)
}

func (s *Server) plain(h http.Handler) echo.HandlerFunc {
	return func(c echo.Context) error {
		h.ServeHTTP(c.Response(), c.Request())
		return nil
	}
}

// adapt turns a route into a framework handler: JSON, or a stream of progress when the caller asked for one.
func (s *Server) adapt(r route) echo.HandlerFunc {
	return func(c echo.Context) error {
		req := &request{http: c.Request(), path: c.Param, report: func(api.Progress) {}}
		if r.Long && req.wantsStream() {
			return s.long(c, r, req)
		}
		if r.write != nil {
			return r.write(c.Response(), c.Request(), req)
		}
		v, err := s.call(c.Request().Context(), r, req)
		if err != nil {
			return err
		}
		if r.Status == http.StatusNoContent {
			return c.NoContent(r.Status)
		}
		return c.JSON(r.Status, v)
	}
}

// call serves r and makes its answer ready to encode.
func (s *Server) call(ctx context.Context, r route, req *request) (any, error) {
	v, err := r.serve(ctx, req)
	if err != nil || v == nil {
		return nil, err
	}
	return api.Filled(v), nil
}

// fail answers with problem details.
func (s *Server) fail(err error, c echo.Context) {
	var he *echo.HTTPError
	if errors.As(err, &he) {
		err = frameworkProblem(he)
	}
	p := api.ProblemOf(err)
	if p.Status >= http.StatusInternalServerError {
		s.log.Warn("call failed", "method", c.Request().Method, "path", c.Request().URL.Path, "error", err)
	}
	if !c.Response().Committed {
		writeProblem(c.Response(), p)
	}
}

// frameworkProblem translates what the framework itself refuses: unknown paths and methods.
func frameworkProblem(he *echo.HTTPError) *api.Problem {
	p := &api.Problem{Type: "about:blank", Title: http.StatusText(he.Code), Status: he.Code}
	if he.Code == http.StatusNotFound {
		p = api.ProblemOf(api.ErrNotFound)
		p.Detail, p.Action = "there is no such path", "see "+apiRoot+"/openapi.json"
	}
	return p
}
