// Package leaf defines the two hashes by which every side checks content: the leaf, a 64-bit hash of one 4 KiB block
// of a volume, and the state hash, one 128-bit number for a whole volume that is cheap to keep up to date.
//
// The state hash of a volume is the sum, modulo 2^128, of one term for each block that is not all zero. So it does not
// depend on the order in which changes arrive, a change costs two terms, and an empty volume of any size has the
// state hash 0. Neither hash is cryptographic: they find damage and divergence, not an attacker.
package leaf
