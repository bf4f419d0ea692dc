// Package client calls the REST API of a running Weir. The command line is built on it. Errors wrap the sentinels of
// admin/api, so that errors.Is sees through the wire.
package client
