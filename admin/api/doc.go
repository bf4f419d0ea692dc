// Package api holds the JSON types of the REST API under /api/v1, shared by the server (admin), the Go client
// (admin/client) and the command line.
//
// Sizes and offsets are in bytes, durations in seconds (a float64 whose name ends in Seconds), times in RFC 3339.
// Identities are strings: a UUID, a name, or a point in the form TIMELINE/END/DIGEST. A field tag `doc` becomes the
// field's description in the OpenAPI document; a field without omitempty is always present.
package api
