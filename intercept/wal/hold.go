package wal

// Hold makes every later Reserve wait until Release or a failure, control batches excepted: on return no record can come
// into the order but theirs. What was reserved before goes on. Holding twice is holding once.
func (l *Log) Hold() { l.setHeld(true) }

// Release lets waiting batches go on.
func (l *Log) Release() { l.setHeld(false) }

func (l *Log) setHeld(held bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.held = held
	l.changedLocked()
}

// waitHeldLocked waits for a change while the log is held.
func (l *Log) waitHeldLocked() {
	changed := l.mu.changed
	l.mu.Unlock()
	<-changed
	l.mu.Lock()
}
