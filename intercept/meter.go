package intercept

import (
	"sync"
	"time"
)

// meter measures how fast hosts write and how fast that is committed.
type meter struct {
	sync.Mutex
	wrote     uint64 // bytes at the last sample
	at        time.Time
	dirtying  float64   // bytes per second, of late
	committed time.Time // when the last epoch was
	draining  float64   // bytes per second, of the last epochs; 0: none was committed yet
}

const (
	meterEvery = time.Second
	meterFresh = 0.3 // weight of the newest value
)

// blend is the moving average of rates; the first is taken as it is.
func blend(old, fresh float64) float64 {
	if old == 0 {
		return fresh
	}
	return (1-meterFresh)*old + meterFresh*fresh
}

// sample notes that hosts had written bytes in all.
func (m *meter) sample(wrote uint64, now time.Time) {
	m.Lock()
	defer m.Unlock()
	took := now.Sub(m.at).Seconds()
	if !m.at.IsZero() && took > 0 && wrote >= m.wrote {
		rate := float64(wrote-m.wrote) / took
		if m.dirtying = blend(m.dirtying, rate); m.dirtying < 1 {
			m.dirtying = 0
		}
	}
	m.wrote, m.at = wrote, now
}

// commit notes that an epoch, which was taken at a moment and holds bytes of hosts, is committed.
func (m *meter) commit(bytes int64, taken, now time.Time) {
	m.Lock()
	defer m.Unlock()
	if m.committed.After(taken) {
		taken = m.committed
	}
	m.committed = now
	if took := now.Sub(taken).Seconds(); took > 0 && bytes > 0 {
		m.draining = blend(m.draining, float64(bytes)/took)
	}
}

func (m *meter) rates() (dirtying, draining float64) {
	m.Lock()
	defer m.Unlock()
	return m.dirtying, m.draining
}

// sampleMeter notes what hosts have written up to now.
func (g *Group) sampleMeter() {
	var wrote uint64
	for _, v := range g.Volumes() {
		s := v.Stats()
		wrote += s.Writes.Bytes
	}
	g.meter.sample(wrote, g.opt.Now())
}

// hostBytes is what hosts wrote in the epoch.
func (e *Epoch) hostBytes() int64 {
	var n int64
	for i := range e.vols {
		n += e.vols[i].HostBytes
	}
	return n
}
