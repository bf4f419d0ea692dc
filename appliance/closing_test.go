package appliance

import (
	"errors"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestClosingReversesTheOrder(t *testing.T) {
	var c closing
	var order []string
	broken := errors.New("broken")
	for _, name := range []string{"a", "b", "c"} {
		c.add(name, func() error {
			order = append(order, name)
			if name == "b" {
				return broken
			}
			return nil
		})
	}
	err := c.close()
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "closing b") {
		t.Errorf("close: %v, want the failure of b, named", err)
	}
	if got := strings.Join(order, ""); got != "cba" {
		t.Errorf("closed in the order %s", got)
	}
	if err := c.close(); err != nil || len(order) != 3 {
		t.Errorf("second close: %v, closed %v", err, order)
	}
}
