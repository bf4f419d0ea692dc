package codec

import (
	"fmt"
	"log/slog"
)

// Sensitivity is how hard the encoder looks for fewer bytes.
type Sensitivity uint8

const (
	Balanced Sensitivity = iota // the default
	Fast                        // for links that are faster than the processor
	Thorough                    // for links that are dear
	numSensitivities
)

var sensitivityNames = [numSensitivities]string{"balanced", "fast", "thorough"}

func (s Sensitivity) String() string {
	if s < numSensitivities {
		return sensitivityNames[s]
	}
	return fmt.Sprintf("Sensitivity(%d)", uint8(s))
}

// MarshalText implements encoding.TextMarshaler.
func (s Sensitivity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Sensitivity) UnmarshalText(b []byte) error {
	for i, name := range sensitivityNames {
		if name == string(b) {
			*s = Sensitivity(i)
			return nil
		}
	}
	return fmt.Errorf("sensitivity %q is none of fast, balanced, thorough", b)
}

// Options of an Encoder. The zero Options are sound.
type Options struct {
	Sensitivity Sensitivity
	// IndexBytes bounds the memory of the index of earlier content. 0: a thousandth of the volumes' size plus 32 MiB;
	// negative: no index.
	IndexBytes int64
	// WarmBytes is how much old content the index learns with each epoch until it has seen all. 0: 32 MiB; negative:
	// none.
	WarmBytes int64
	Logger    *slog.Logger // nil: none
}

const (
	defaultIndexBytes = 32 << 20
	defaultIndexShare = 1024 // of the volumes' size
	defaultWarmBytes  = 32 << 20
)

func (o *Options) setDefaults() {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.WarmBytes == 0 {
		o.WarmBytes = defaultWarmBytes
	}
}

// indexBytes is the memory bound for volumes of so many bytes together.
func (o *Options) indexBytes(volumeBytes int64) int64 {
	if o.IndexBytes > 0 {
		return o.IndexBytes
	}
	return volumeBytes/defaultIndexShare + defaultIndexBytes
}

// effortFor picks how hard a column of n bytes is compressed, of an epoch that has already compressed done bytes:
// small epochs can afford more for each byte.
func (s Sensitivity) effortFor(col, n int, done int64) effort {
	switch {
	case s == Thorough:
		return effortMost
	case s == Fast && done+int64(n) > 64<<10:
		return effortLow
	case s == Fast:
		return effortNormal
	case col != colData:
		return effortHigh
	case done+int64(n) <= 4<<20:
		return effortMost
	case done+int64(n) <= 16<<20:
		return effortHigh
	}
	return effortNormal
}
