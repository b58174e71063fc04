package config

import (
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"

	"tapecast/server/logging"
)

// Size is a number of bytes, written 512, 64KiB, 8MiB, 1GiB, 2TiB or in steps of
// thousand as 64KB, 8MB, 1GB, 2TB.
type Size int64

var sizeUnits = []struct {
	suffix string
	bytes  float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

// ParseSize reads a Size as it is written in the configuration.
func ParseSize(s string) (Size, error) {
	num, unit := strings.TrimSpace(s), 1.0
	for _, u := range sizeUnits {
		if n, ok := strings.CutSuffix(num, u.suffix); ok {
			num, unit = strings.TrimSpace(n), u.bytes
			break
		}
	}
	v, err := strconv.ParseFloat(num, 64)
	if v *= unit; err != nil || math.IsNaN(v) || v < 0 || v >= math.MaxInt64 || v != math.Trunc(v) {
		return 0, fmt.Errorf("%q is not a number of bytes such as 512, 64KiB or 8MiB", s)
	}
	return Size(v), nil
}

// String returns s in the largest unit that is exact.
func (s Size) String() string {
	for i := 3; i >= 0; i-- {
		if u := int64(sizeUnits[i].bytes); s != 0 && int64(s)%u == 0 {
			return strconv.FormatInt(int64(s)/u, 10) + sizeUnits[i].suffix
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// Secret is a string that prints as [redacted] whichever way it is printed; string(s) has its text.
type Secret string

// String hides the secret from fmt and from logs.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return logging.Redacted
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// LogValue hides the secret from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText hides the secret from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
