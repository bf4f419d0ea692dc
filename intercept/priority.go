package intercept

import (
	"runtime"

	"golang.org/x/sys/unix"
)

const backgroundNice = 10

// lowerPriority ties the calling goroutine to a thread of its own that runs at low priority, so that its work does not
// stand in the way of the doors. The thread ends with the goroutine.
func lowerPriority() {
	runtime.LockOSThread()
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), backgroundNice) // as good as it gets
}
