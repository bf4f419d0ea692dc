package admin

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/weirstor/weir/admin/api"
)

// registry holds the collectors of /metrics.
func (s *Server) registry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		&collector{read: s.status.get},
	)
	return r
}

// collector turns one status into samples, so that a scrape costs what a status costs.
type collector struct {
	read func() api.Status
}

var _ prometheus.Collector = (*collector)(nil)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("weir_"+name, help, labels, nil)
}

// The metrics, in the order in which a write travels. Names and labels are those of the design, section 9.
var (
	infoDesc     = desc("info", "Always 1; version and role are labels.", "version", "role")
	healthDesc   = desc("health", "1 for the present state, 0 for the others.", "state")
	sizeDesc     = desc("volume_size_bytes", "Size of a volume.", "volume")
	readDesc     = desc("host_read_bytes_total", "Bytes that hosts read.", "volume")
	writtenDesc  = desc("host_written_bytes_total", "Bytes that hosts wrote.", "volume")
	zeroedDesc   = desc("host_zeroed_bytes_total", "Bytes that hosts zeroed or trimmed.", "volume")
	opsDesc      = desc("host_operations_total", "Requests of hosts.", "volume", "operation")
	tagDesc      = desc("tagged_writes_total", "Writes by in-path tag.", "volume", "tag")
	chunksDesc   = desc("chunks_total", "Packaged changes.", "volume", "classification")
	bytesDesc    = desc("chunk_bytes_total", "Content of packaged changes.", "volume", "classification", "encoding")
	sealedDesc   = desc("epochs_sealed_total", "Epochs sealed.", "group")
	pendingDesc  = desc("pending_epochs", "Epochs sealed and not committed.", "group")
	pendingBDesc = desc("pending_bytes", "Bytes in epochs sealed and not committed.", "group")
	logUsedDesc  = desc("log_used_bytes", "Write log in use.", "group")
	logMaxDesc   = desc("log_budget_bytes", "Write log budget.", "group")
	wireDesc     = desc("wire_bytes_total", "Bytes of the provider connection as sent, before TLS.", "group", "direction")
	savedDesc    = desc("saved_bytes", "Host bytes of committed epochs less bytes sent.", "group")
	pointDesc    = desc("point_committed", "Last sequence of the newest committed point.", "group")
	lagDesc      = desc("lag_seconds", "Age of the oldest write that is not committed.", "group")
	behindDesc   = desc("disk_behind", "1 while there is a committed point that a disk does not show yet.", "volume", "place")
	diskDesc     = desc("disk_clean", "1 while a disk shows exactly one point.", "volume", "place")
	dirtyDesc    = desc("dirtying_bytes_per_second", "Bytes that hosts write, of late.", "group")
	drainDesc    = desc("draining_bytes_per_second", "Bytes of what hosts wrote that were committed, of late.", "group")
	overDesc     = desc("overflow", "1 while epochs are moved to the base before they are committed.", "group")
	noSpaceDesc  = desc("disk_full", "1 while the gateway's disk has no room for what hosts write.", "group")
	firstDesc    = desc("first_sync_left_bytes", "Content of an adopted image that the provider does not have yet.", "volume")
	nodeDesc     = desc("node_reachable", "1 while a provider node answers.", "node")
)

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		infoDesc, healthDesc, sizeDesc, readDesc, writtenDesc, zeroedDesc, opsDesc, tagDesc, chunksDesc, bytesDesc,
		sealedDesc, pendingDesc, pendingBDesc, logUsedDesc, logMaxDesc, wireDesc, savedDesc, pointDesc, lagDesc,
		behindDesc, diskDesc, firstDesc, nodeDesc,
		dirtyDesc, drainDesc, overDesc, noSpaceDesc,
	} {
		ch <- d
	}
	describeStore(ch)
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	st := c.read()
	out := samples{ch}
	out.gauge(infoDesc, 1, st.Version, string(st.Role))
	for _, state := range []string{api.HealthOK, api.HealthStarting, api.HealthDegraded, api.HealthFailed, api.HealthStopping} {
		out.gauge(healthDesc, truth(st.Health.State == state), state)
	}
	for _, v := range st.Volumes {
		out.volume(v)
	}
	for _, g := range st.Groups {
		out.group(g)
	}
	for _, d := range st.Disks {
		out.gauge(behindDesc, truth(d.Behind), d.Volume, d.Place)
		out.gauge(diskDesc, truth(d.State == "clean"), d.Volume, d.Place)
	}
	out.store(st.Store)
	if st.Cluster != nil {
		for _, n := range st.Cluster.Nodes {
			out.gauge(nodeDesc, truth(n.Reachable), n.Name)
		}
	}
}

// samples writes metrics of one scrape.
type samples struct {
	ch chan<- prometheus.Metric
}

func (s samples) gauge(d *prometheus.Desc, v float64, labels ...string) {
	s.ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (s samples) counter(d *prometheus.Desc, v uint64, labels ...string) {
	s.ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

func (s samples) volume(v api.Volume) {
	s.gauge(sizeDesc, float64(v.Size), v.Name)
	if v.FirstSync != nil {
		s.gauge(firstDesc, float64(v.FirstSync.LeftBytes), v.Name)
	}
	s.counter(readDesc, v.Host.ReadBytes, v.Name)
	s.counter(writtenDesc, v.Host.WrittenBytes, v.Name)
	s.counter(zeroedDesc, v.Host.ZeroedBytes, v.Name)
	s.counter(opsDesc, v.Host.ReadOps, v.Name, "read")
	s.counter(opsDesc, v.Host.WriteOps, v.Name, "write")
	s.counter(opsDesc, v.Host.ZeroOps, v.Name, "zero")
	s.counter(opsDesc, v.Host.FlushOps, v.Name, "flush")
	for _, t := range v.Tags {
		s.counter(tagDesc, t.Ops, v.Name, t.Tag)
	}
	byClass := make(map[string]uint64)
	for _, c := range v.Chunks {
		byClass[c.Class] += c.Chunks
		s.counter(bytesDesc, c.Bytes, v.Name, c.Class, c.Encoding)
	}
	for class, n := range byClass {
		s.counter(chunksDesc, n, v.Name, class)
	}
}

func (s samples) group(g api.Group) {
	s.counter(sealedDesc, g.Sealed, g.Name)
	s.gauge(pendingDesc, float64(g.Pending.Epochs), g.Name)
	s.gauge(pendingBDesc, float64(g.Pending.Bytes), g.Name)
	s.gauge(logUsedDesc, float64(g.Log.UsedBytes), g.Name)
	s.gauge(logMaxDesc, float64(g.Log.BudgetBytes), g.Name)
	s.counter(wireDesc, g.Wire.SentBytes, g.Name, "sent")
	s.counter(wireDesc, g.Wire.ReceivedBytes, g.Name, "received")
	s.gauge(savedDesc, float64(g.Wire.SavedBytes), g.Name)
	s.gauge(pointDesc, float64(g.Committed.End), g.Name)
	s.gauge(lagDesc, g.LagSeconds, g.Name)
	s.gauge(dirtyDesc, g.Rates.DirtyingBytes, g.Name)
	s.gauge(drainDesc, g.Rates.DrainingBytes, g.Name)
	s.gauge(overDesc, truth(g.Rates.Overflow), g.Name)
	s.gauge(noSpaceDesc, truth(g.Log.NoSpace != ""), g.Name)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
