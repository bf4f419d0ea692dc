package appliance

import (
	"sync"
	"time"
)

const (
	refusalQuiet = time.Minute // that the same refusal is not told again
	refusalsMax  = 1024        // that are remembered
)

// refusals keeps clients that try again and again from flooding the journal.
type refusals struct {
	mu   sync.Mutex
	told map[string]time.Time
}

// first reports whether what was not told lately.
func (r *refusals) first(what string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if r.told == nil || len(r.told) >= refusalsMax {
		r.told = make(map[string]time.Time)
	}
	if t, ok := r.told[what]; ok && now.Sub(t) < refusalQuiet {
		return false
	}
	r.told[what] = now
	return true
}
