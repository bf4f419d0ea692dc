package appliance

import (
	"errors"
	"fmt"
)

// closing ends parts in the reverse order of their start. It belongs to one goroutine.
type closing struct {
	parts []part
}

type part struct {
	name string
	end  func() error
}

// add says how to end what has just been started.
func (c *closing) add(name string, end func() error) { c.parts = append(c.parts, part{name, end}) }

// close ends everything and returns all errors, each with the name of its part.
func (c *closing) close() error {
	var errs []error
	for i := len(c.parts) - 1; i >= 0; i-- {
		if err := c.parts[i].end(); err != nil {
			errs = append(errs, fmt.Errorf("closing %s: %w", c.parts[i].name, err))
		}
	}
	c.parts = nil
	return errors.Join(errs...)
}
