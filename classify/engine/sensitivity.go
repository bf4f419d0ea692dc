package engine

import "fmt"

// Sensitivity is how hard packaging looks for fewer bytes.
type Sensitivity uint8

const (
	Balanced Sensitivity = iota // the default
	Fast                        // for links that are faster than the processor
	Thorough                    // for links that are dear
	NumSensitivities
)

var sensitivityNames = [NumSensitivities]string{"balanced", "fast", "thorough"}

// worth is how much work one byte less on the wire is worth in a large epoch, nanoseconds of one core. So Fast suits a
// link of 100 MB/s, Balanced one of 10 MB/s and Thorough one of 1 MB/s; see price for small epochs.
var worth = [NumSensitivities]float64{Fast: 10, Balanced: 100, Thorough: 1000}

func (s Sensitivity) String() string {
	if s < NumSensitivities {
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
