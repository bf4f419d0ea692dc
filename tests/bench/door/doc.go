// Command door serves memory through one of Weir's doors with nothing behind it, so that the door alone can be measured
// beside other servers. It serves until it is killed; benchmarks start it, nothing else should.
//
//	door nbd   ADDR BYTES    export "v"
//	door iscsi ADDR BYTES    target iqn.2026-11.io.weir:v, LUN 0, blocks of 512 bytes
package main
