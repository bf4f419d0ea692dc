// Package admin is the surface of a running Weir: the REST API under /api/v1, the event stream, Prometheus metrics,
// the health check and the page at /.
//
// It knows the system only through Backend, which it declares and appliance implements. Handlers are plain functions
// of a request (routes.go); only echo.go knows the web framework. The OpenAPI document (openapi.json) is made from
// the same table of routes and the types of admin/api; a test holds it, requests and answers together.
//
// # Who may do what
//
// A request whose Host is neither an address nor a known name is refused, which keeps a hostile page in a browser
// from reaching a daemon on loopback by rebinding a name. Calls that change something need the bearer token that the
// process makes at its start and writes to a file that only its user can read. Calls that only read are open when
// the listener is on loopback, and need the token otherwise (as bearer, or as password in basic authentication, so
// that a browser can show the page). /healthz is always open.
package admin
