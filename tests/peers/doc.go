// Command peers serves memory over the two Go libraries that Weir's doors are measured against: go-nbd over NBD and
// gotgt over iSCSI. It is a module of its own, so that their dependencies stay out of the product.
//
//	peers nbd   ADDR SIZE        export "v" of SIZE bytes with github.com/pojntfx/go-nbd
//	peers iscsi ADDR FILE        LUN 0 of iqn.2026-11.io.weir.peers:v on FILE with github.com/gostor/gotgt
//
// ADDR is HOST:PORT. gotgt listens on every address of the machine, whatever HOST says, but takes HOST for its portal.
// The command serves until it is killed. Benchmarks and conformance runs start it; nothing else should.
package main
