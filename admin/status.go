package admin

import (
	"sync"
	"time"

	"github.com/weirstor/weir/admin/api"
)

// statusKept is how long one status serves all readers of page, metrics and streams.
const statusKept = 250 * time.Millisecond

// statusCache keeps the latest status, so that page, metrics and streams together ask the system at most four times a
// second.
type statusCache struct {
	read func() api.Status
	mu   struct {
		sync.Mutex
		at     time.Time
		status api.Status
	}
}

// get returns a status at most statusKept old. The caller must not change it.
func (c *statusCache) get() api.Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.at.IsZero() || time.Since(c.mu.at) > statusKept {
		c.mu.status, c.mu.at = c.read(), time.Now()
		api.Fill(&c.mu.status)
	}
	return c.mu.status
}
