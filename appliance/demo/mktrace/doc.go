// Command mktrace makes the trace of the demonstration from file-system images; appliance/demo/fixture.sh calls it.
package main
