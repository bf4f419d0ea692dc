// Command bench measures Weir beside other servers on the machine that it runs on, and counts what Weir sends.
//
//	go run ./tests/bench [-seconds N] [-rounds N] [-out FILE] cells
//	go run ./tests/bench [-seconds N] [-rounds N] [-out FILE] nbd-door iscsi-door
//	go run ./tests/bench [-out FILE] wire
//
// "cells" runs fio's NBD engine against nbdkit (file, memory and null), qemu-nbd and Weir, cell by cell and round by
// round in turn, so that all of them meet the same noise; what counts are the ratios within a round, of which the median
// is printed. "nbd-door" and "iscsi-door" compare the doors alone, on memory, with nbdkit and go-nbd, and with tgtd, and
// read the processor time of each server too. "wire" runs the wire workload on an ext4 file system and prints the bytes of the provider connection for
// each step, with one epoch for each step.
//
// With -out the tables replace those of earlier runs in FILE, between the marks that name them.
package main
