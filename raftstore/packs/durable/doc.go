// Package durable holds the few file operations that count only once they are on stable storage: a file that appears
// whole or not at all, and a directory entry that survives power loss. It works on a vfs.FS, so that tests can crash
// between any two operations.
package durable
