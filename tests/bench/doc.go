// Command bench measures Weir beside other servers on the machine that it runs on, and counts what Weir sends.
//
//	go run ./tests/bench [-seconds N] [-rounds N] [-out FILE] cells paused cpu latency
//	go run ./tests/bench [-seconds N] [-rounds N] [-out FILE] nbd-door iscsi-door
//	go run ./tests/bench [-out FILE] sustained wire
//
// Servers that are compared run cell by cell and round by round in turn, so that all of them meet the same noise; what
// counts are the ratios within a round, of which the median is printed.
//
//	cells       fio's NBD engine against nbdkit file, nbdkit null, qemu-nbd, and Weir with replication and a disk
//	paused      the same with replication off, and the processor time of each server for one request
//	cpu         the processor time of the server for one 4 KiB write, with replication off and on
//	latency     percentiles of a 4 KiB write at depth 1, with and without sealing, destaging and packaging beside it
//	sustained   bursts of a minute with replication on: the rates at start and end, and what was busy
//	nbd-door    the NBD door alone, on memory, against nbdkit and go-nbd
//	iscsi-door  the iSCSI door alone, against tgtd
//	wire        the wire workload on an ext4 file system: bytes of the provider connection, one epoch for each step
//
// With -out the tables replace those of earlier runs in FILE, between the marks that name them.
package main
