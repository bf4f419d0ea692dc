package replicate

import (
	"maps"
	"sync"

	"github.com/weirstor/weir/classify/trace"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/replicate/codec"
)

// steering is what an operator changes in the packager while it runs.
type steering struct {
	mu          sync.Mutex
	sensitivity map[ident.VolumeID]codec.Sensitivity
	trace       *trace.Writer
}

// SetSensitivity sets how hard packaging looks at the volumes that m names, from the next epoch on; others have the
// Codec options' sensitivity. Safe for concurrent use.
func (s *Shipper) SetSensitivity(m map[ident.VolumeID]codec.Sensitivity) {
	s.steering.mu.Lock()
	defer s.steering.mu.Unlock()
	s.steering.sensitivity = maps.Clone(m)
}

// Trace makes w, nil for none, record the decisions of the next epochs. While it does, all answers are tried, which takes
// several times the processor time of packaging. Safe for concurrent use; w may still be used by the epoch that is being
// packaged when Trace returns.
func (s *Shipper) Trace(w *trace.Writer) {
	s.steering.mu.Lock()
	defer s.steering.mu.Unlock()
	s.steering.trace = w
}

// Decisions returns what packaging decided last for chunks of volume v within [off, off+n), the latest first, at most
// limit. Safe for concurrent use.
func (s *Shipper) Decisions(v ident.VolumeID, off, n int64, limit int) []codec.Decision {
	return s.packager.encoder.Decisions(v, off, n, limit)
}

// now returns the settings for one epoch.
func (s *steering) now() (map[ident.VolumeID]codec.Sensitivity, *trace.Writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sensitivity, s.trace
}
