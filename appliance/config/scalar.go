package config

import (
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"
)

// Duration is written as 1s, 250ms, 5m.
type Duration time.Duration

// ParseDuration reads a duration above zero.
func ParseDuration(s string) (Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%q is not a duration such as 1s, 250ms or 5m", s)
	}
	return Duration(d), nil
}

func (d Duration) String() string { return time.Duration(d).String() }

// Set implements pflag.Value.
func (d *Duration) Set(s string) (err error) {
	*d, err = ParseDuration(s)
	return err
}

// Type implements pflag.Value.
func (d *Duration) Type() string { return "duration" }

// UnmarshalYAML implements yaml.Unmarshaler.
func (d *Duration) UnmarshalYAML(n *yaml.Node) error { return scalar(n, d) }

// Switch is written as on or off.
type Switch bool

func (s Switch) String() string {
	if s {
		return "on"
	}
	return "off"
}

// Set implements pflag.Value.
func (s *Switch) Set(v string) error {
	switch v {
	case "on", "true":
		*s = true
	case "off", "false":
		*s = false
	default:
		return fmt.Errorf("%q is neither on nor off", v)
	}
	return nil
}

// Type implements pflag.Value.
func (s *Switch) Type() string { return "on|off" }

// UnmarshalYAML implements yaml.Unmarshaler.
func (s *Switch) UnmarshalYAML(n *yaml.Node) error { return scalar(n, s) }

// scalar reads n as a flag is read, and names the line when it can not be.
func scalar(n *yaml.Node, v interface{ Set(string) error }) error {
	if n.Kind != yaml.ScalarNode {
		return fmt.Errorf("line %d: want one value", n.Line)
	}
	if err := v.Set(n.Value); err != nil {
		return fmt.Errorf("line %d: %w", n.Line, err)
	}
	return nil
}
