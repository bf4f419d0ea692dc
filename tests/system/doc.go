// Package system holds the tests of the whole: the real binary, driven by clients, kernels and file systems that others
// wrote, killed at random moments, fed with bad input and damaged files. Its only code is tests; `make system` runs it.
//
// Flags: -rounds, -cluster-rounds and -nemesis-rounds say how often the crash, cluster and nemesis tests do harm, -seed
// repeats a run. With WEIR_REQUIRE_TOOLS=1 in the environment a missing program or missing root rights fail a test instead of skipping it.
package system
