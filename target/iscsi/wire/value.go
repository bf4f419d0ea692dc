package wire

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrValue is a value that its key does not allow.
var ErrValue = errors.New("value not allowed")

// ParseNumber reads a decimal or 0x-prefixed number from lo to hi (RFC 7143, section 6.1).
func ParseNumber(s string, lo, hi uint64) (uint64, error) {
	base, digits := 10, s
	if len(s) > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X') {
		base, digits = 16, s[2:]
	}
	if digits == "" || digits[0] == '+' || digits[0] == '_' {
		return 0, fmt.Errorf("%w: %.20q is not a number", ErrValue, s)
	}
	n, err := strconv.ParseUint(digits, base, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: %.20q is not a number", ErrValue, s)
	}
	if n < lo || n > hi {
		return 0, fmt.Errorf("%w: %d, want %d to %d", ErrValue, n, lo, hi)
	}
	return n, nil
}

// ParseBool reads Yes or No.
func ParseBool(s string) (bool, error) {
	switch s {
	case "Yes":
		return true, nil
	case "No":
		return false, nil
	}
	return false, fmt.Errorf("%w: %.20q, want Yes or No", ErrValue, s)
}

// FormatBool is the reverse of ParseBool.
func FormatBool(b bool) string {
	if b {
		return "Yes"
	}
	return "No"
}

// ParseBinary reads a large binary value of at most limit bytes: hexadecimal after 0x, base64 after 0b (RFC 7143,
// section 6.1).
func ParseBinary(s string, limit int) ([]byte, error) {
	if len(s) < 2 || s[0] != '0' {
		return nil, fmt.Errorf("%w: binary value without 0x or 0b", ErrValue)
	}
	var b []byte
	var err error
	digits := s[2:]
	switch s[1] {
	case 'x', 'X':
		if len(digits)%2 == 1 {
			digits = "0" + digits
		}
		b, err = hex.DecodeString(digits)
	case 'b', 'B':
		b, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(digits, "="))
	default:
		return nil, fmt.Errorf("%w: binary value starts with %q", ErrValue, s[:2])
	}
	if err != nil || len(b) == 0 || len(b) > limit {
		return nil, fmt.Errorf("%w: %d binary bytes, limit %d", ErrValue, len(b), limit)
	}
	return b, nil
}

// FormatBinary returns b in the 0x form.
func FormatBinary(b []byte) string { return "0x" + hex.EncodeToString(b) }

// Choose returns the first of the comma-separated offers that is also in have; offers are in the order that their
// sender prefers (RFC 7143, section 6.2.1).
func Choose(offers string, have ...string) (string, bool) {
	for offer := range strings.SplitSeq(offers, ",") {
		for _, h := range have {
			if offer == h {
				return h, true
			}
		}
	}
	return "", false
}
