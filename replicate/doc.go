// Package replicate carries a group from sealed epoch to committed point.
//
// The Shipper takes each sealed epoch of a group from the write path, has it packaged (replicate/codec) into
// content-addressed packs (replicate/pack), puts the packs to the provider (replicate/rpc), commits them as a point
// under its session term, and tells the write path the outcome. A Commit is the small record that goes through Raft;
// its digest is part of the point's identity.
package replicate
