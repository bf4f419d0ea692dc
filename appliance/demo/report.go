package demo

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/weirstor/weir/admin/api"
)

// Report is what the demonstration has found.
type Report struct {
	Equal            bool             `json:"equal"`
	Steps            []Step           `json:"steps"`
	Chunks           []api.ChunkCount `json:"chunks"`
	HostBytes        uint64           `json:"host_bytes"`
	WireBytes        uint64           `json:"wire_bytes"`
	UpdatesPerSecond float64          `json:"updates_per_second"`
	ReadMiBPerSecond float64          `json:"iscsi_read_mib_per_second"`
	CatchUpSeconds   float64          `json:"catch_up_seconds_max"`
	LagSeconds       float64          `json:"lag_seconds"`
	Seconds          float64          `json:"seconds"`
	Addresses        api.Addresses    `json:"addresses"`

	wireSeen uint64
}

// Step is one step of the work.
type Step struct {
	Name           string  `json:"name"`
	Writes         int     `json:"writes"`
	HostBytes      uint64  `json:"host_bytes"`
	WireBytes      uint64  `json:"wire_bytes"`
	WriteSeconds   float64 `json:"write_seconds"`
	CatchUpSeconds float64 `json:"catch_up_seconds"`
}

// newWire returns the bytes sent since the last call.
func (r *Report) newWire(s api.Status) uint64 {
	var sent uint64
	for _, g := range s.Groups {
		sent += g.Wire.SentBytes
	}
	n := sent - r.wireSeen
	r.wireSeen = sent
	return n
}

// finish sums up.
func (r *Report) finish(s api.Status, took time.Duration) {
	for _, st := range r.Steps {
		r.HostBytes += st.HostBytes
		r.WireBytes += st.WireBytes
		r.CatchUpSeconds = max(r.CatchUpSeconds, st.CatchUpSeconds)
	}
	for _, v := range s.Volumes {
		r.Chunks = append(r.Chunks, v.Chunks...)
	}
	for _, g := range s.Groups {
		r.LagSeconds = max(r.LagSeconds, g.LagSeconds)
	}
	r.Seconds = took.Seconds()
}

// Print writes the summary for people.
func (r Report) Print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "\nCLASS\tCHUNKS\tWRITTEN BY THE HOST\tON THE WIRE\n")
	for _, c := range r.Chunks {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", c.Class, c.Chunks, size(c.Bytes), size(c.WireBytes))
	}
	fmt.Fprintln(w)
	if len(r.Steps) > 0 && r.Steps[0].WriteSeconds > 0 {
		fmt.Fprintf(w, "image written at\t%.0f MiB/s through NBD\n", float64(r.Steps[0].HostBytes)/(1<<20)/r.Steps[0].WriteSeconds)
	}
	if r.UpdatesPerSecond > 0 {
		fmt.Fprintf(w, "small updates\t%.0f writes/s, a flush after each %d\n", r.UpdatesPerSecond, updateWrites)
	}
	fmt.Fprintf(w, "volume read at\t%.0f MiB/s through iSCSI\n", r.ReadMiBPerSecond)
	fmt.Fprintf(w, "disk followed within\t%.2f s of each step; lag now %.1f s\n", r.CatchUpSeconds, r.LagSeconds)
	fmt.Fprintf(w, "written by the host\t%s\n", size(r.HostBytes))
	fmt.Fprintf(w, "on the wire\t%s (%s)\n", size(r.WireBytes), ratio(r.HostBytes, r.WireBytes))
	verdict := "the disk equals the volume, byte by byte"
	if !r.Equal {
		verdict = "NOT EQUAL"
	}
	fmt.Fprintf(w, "result\t%s; %.1f s in all\n", verdict, r.Seconds)
	return w.Flush()
}

func size(n uint64) string { return humanize.IBytes(n) }

func ratio(host, wire uint64) string {
	if wire == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f : 1", float64(host)/float64(wire))
}
