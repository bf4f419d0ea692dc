// Package durabletest crashes file systems in tests: it takes a copy of what a power loss would leave before each
// operation that changes something.
package durabletest
