package classify

import "fmt"

// Class is what a change is, from the least to the most that has to travel.
type Class uint8

const (
	ZeroBlock    Class = iota // nothing changed, or the range became zero: a notice, no data
	MetadataOnly              // only fields of file-system metadata changed
	SmallData                 // few bytes of a block changed
	MediumData                // one contiguous run changed
	LargeData                 // most of a block changed, or the content is new
)

// NumClasses is the number of classes; every Class is below it.
const NumClasses = 5

var classNames = [NumClasses]string{"ZeroBlock", "MetadataOnly", "SmallData", "MediumData", "LargeData"}

func (c Class) String() string {
	if c < NumClasses {
		return classNames[c]
	}
	return fmt.Sprintf("Class(%d)", uint8(c))
}

// MarshalText implements encoding.TextMarshaler.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }
