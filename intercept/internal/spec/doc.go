// Package spec reads the tables of a format specification, for the tests that hold them against the code.
package spec
