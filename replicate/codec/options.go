package codec

import (
	"log/slog"

	"github.com/weirstor/weir/classify/engine"
)

// Sensitivity is how hard the encoder looks for fewer bytes.
type Sensitivity = engine.Sensitivity

// The sensitivities.
const (
	Balanced = engine.Balanced
	Fast     = engine.Fast
	Thorough = engine.Thorough
)

// Options of an Encoder. The zero Options are sound.
type Options struct {
	Sensitivity Sensitivity   // of volumes that do not say their own
	Model       *engine.Model // what decides; nil: the shipped one
	// Recorder, if not nil, gets a sample of each decision, for which all answers are tried: that takes many times the
	// work of packaging.
	Recorder engine.Recorder
	// TryAll takes the answer with the fewest bytes instead of the model's, whatever the work: the measure of a model.
	TryAll bool
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
	if o.Model == nil {
		o.Model = engine.Shipped()
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
