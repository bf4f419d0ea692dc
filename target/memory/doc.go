// Package memory is a target.Device that lives in memory, for tests and for measuring a door without a store
// behind it.
package memory
