// Package export writes the content of a recovery point to a file or a pipe, and compares it, while it goes, with the state
// hash that the point was committed with. It reads through a Source, which appliance's commands implement by calls to the
// daemon.
package export
