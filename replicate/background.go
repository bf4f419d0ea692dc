package replicate

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// backgroundNice is the nice value of packaging, so that it never takes a core from the doors (measured in design
// section 4: beside busy goroutines a 4 KiB echo falls from 27k/s to 2k/s, beside niced threads it keeps its pace).
const backgroundNice = 15

// inBackground runs f on an operating-system thread of its own at backgroundNice and returns what f returns. The
// thread ends with f, so its priority is never lent to another goroutine.
func inBackground(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // not unlocked: the thread ends with this goroutine
		// A failure only means that packaging keeps the normal priority.
		_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), backgroundNice)
		done <- f()
	}()
	return <-done
}
