// Package todo is the map of what of a volume the provider does not have yet: at first everything, in the end nothing.
// docs/format-write-log.md, section 5.2, specifies its file.
package todo
