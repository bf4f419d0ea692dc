package nbd

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/weirstor/weir/target"
	"github.com/weirstor/weir/target/memory"
	"go.uber.org/goleak"
)

// serveEnv makes the test binary a server of a memory device, at the address that it holds, until SIGTERM. Benchmarks
// start it so that the server's processor time can be told from the client's.
const serveEnv = "WEIR_NBD_TEST_SERVE"

func TestMain(m *testing.M) {
	if addr := os.Getenv(serveEnv); addr != "" {
		if err := serveMemory(addr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

func serveMemory(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	s := NewServer(shelf{"v": target.Device(memory.New(1<<30, 4096))}, Options{})
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	go func() {
		<-stop
		_ = s.Close()
	}()
	if err := s.Serve(l); err != ErrServerClosed {
		return err
	}
	return s.Close()
}
