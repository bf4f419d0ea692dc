package intercept

// Hold makes writes to all volumes of the group wait, without an error, until Release or Fence. Every write that was or
// will be acknowledged without waiting is in the epoch that the next Seal ends. Reading and flushing go on. A hold does
// not outlive the process.
func (g *Group) Hold() { g.log.Hold() }

// Release ends a hold: the writes that wait go on.
func (g *Group) Release() { g.log.Release() }
