// Package pack is the envelope in which bulk data travels and is stored: an immutable file of at most MaxBytes, named
// by its content, made of frames that can be read one by one. docs/format-pack.md specifies the bytes.
//
// Wire packs carry an epoch's encoded changes from gateway to provider; store packs hold the provider's own frames.
// This package knows nothing of what a frame means.
package pack
