package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
	"go.yaml.in/yaml/v3"
)

// Size is a number of bytes, written as 4096, 512MiB, 2G (2 GiB, as in qemu-img and truncate) or 2GB (2·10⁹).
type Size int64

var units = map[string]int64{
	"": 1, "B": 1,
	"K": 1 << 10, "KIB": 1 << 10, "KB": 1e3,
	"M": 1 << 20, "MIB": 1 << 20, "MB": 1e6,
	"G": 1 << 30, "GIB": 1 << 30, "GB": 1e9,
	"T": 1 << 40, "TIB": 1 << 40, "TB": 1e12,
	"P": 1 << 50, "PIB": 1 << 50, "PB": 1e15,
}

// ParseSize reads a size; fractions are allowed where they make whole bytes.
func ParseSize(s string) (Size, error) {
	num := strings.TrimRight(strings.TrimSpace(s), "BKMGTPibkmgtp")
	unit, known := units[strings.ToUpper(strings.TrimSpace(s)[len(num):])]
	f, err := strconv.ParseFloat(strings.TrimSpace(num), 64)
	v := f * float64(unit)
	switch {
	case !known || err != nil || !(v >= 0):
		return 0, fmt.Errorf("%q is not a size such as 4096, 512MiB, 2G or 2GB", s)
	case v > math.MaxInt64/2:
		return 0, fmt.Errorf("size %q is out of range", s)
	case v != math.Trunc(v):
		return 0, fmt.Errorf("size %q is not a whole number of bytes", s)
	}
	return Size(v), nil
}

func (s Size) String() string { return humanize.IBytes(uint64(max(s, 0))) }

// Set implements pflag.Value.
func (s *Size) Set(v string) (err error) {
	*s, err = ParseSize(v)
	return err
}

// Type implements pflag.Value.
func (s *Size) Type() string { return "size" }

// UnmarshalYAML implements yaml.Unmarshaler.
func (s *Size) UnmarshalYAML(n *yaml.Node) error { return scalar(n, s) }
