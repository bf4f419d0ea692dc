// Package fstest makes real file systems for tests, by the tools of their makers and, for root, by the kernel.
package fstest
