package codec

import (
	"context"
	"fmt"
	"sync"

	"github.com/weirstor/weir/classify"
	"github.com/weirstor/weir/classify/engine"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/replicate/pack"
)

// When a frame is closed, bytes: so that two of them go into a pack, and a decoder's memory stays within its bound.
const (
	frameLiterals = 3 << 20
	frameControl  = 1 << 20
	frameTouched  = 64 << 20
)

// windowBytes is how much content is compared at a time.
const windowBytes = 1 << 20

// workspace is the memory of a job. Groups share them: an epoch of a few KiB must not cost each group some MiB.
type workspace struct {
	old, new []byte
	blocks   []block
	frame    frameWriter
	made     results
	matcher  *matcher
	unpacker *unpacker
	verify   *decoder
	payload  []byte
	scratch  []byte
	literals []byte // of a trial
}

var workspaces = sync.Pool{New: func() any {
	s := &workspace{verify: &decoder{}, old: make([]byte, windowBytes), new: make([]byte, windowBytes)}
	s.matcher, s.unpacker = newMatcher(&s.made), newUnpacker(&s.made)
	return s
}}

// job encodes one epoch.
type job struct {
	*workspace
	enc     *Encoder
	changes []VolumeChange
	byID    map[ident.VolumeID]int // index into changes
	put     func(pack.Pack) error
	summary Summary

	sensitivity engine.Sensitivity // of the open frame

	traits    engine.Run // features of the chunk that is being encoded
	answer    engine.Search
	decisions []pendingDecision // of the open frame

	open     []byte // the pack that is being filled; empty: none
	written  int64  // by hosts, of all changes, bytes
	touched  int64  // by the open frame
	deflated int64  // bytes that went through the compressor
	zeroes   zeroRun
	notices  []notice // by index of changes
}

// notice counts unchanged blocks of a volume.
type notice struct{ off, end, blocks int64 }

func newJob(e *Encoder, changes []VolumeChange, put func(pack.Pack) error) *job {
	j := &job{workspace: workspaces.Get().(*workspace), enc: e, changes: changes, put: put}
	j.byID = make(map[ident.VolumeID]int, len(changes))
	j.summary.Volumes = make([]VolumeSummary, len(changes))
	j.notices = make([]notice, len(changes))
	j.sensitivity = e.opt.Sensitivity
	j.frame.startEpoch()
	for i := range changes {
		c := &changes[i]
		j.byID[c.Volume] = i
		j.summary.Volumes[i] = VolumeSummary{Volume: c.Volume, State: c.State}
		if len(c.Extents) > 0 {
			j.frame.number(c.Volume)
		}
		for _, x := range c.Extents {
			j.written += x.Len
		}
	}
	j.made.reset()
	j.matcher.start(e.index, j)
	j.unpacker.start(e.index, j)
	j.verify.start(Target{Old: j.oldView, Emit: func(Chunk) error { return nil }})
	return j
}

// release gives the memory back.
func (j *job) release() {
	j.matcher.start(nil, nil)
	j.unpacker.start(nil, nil)
	j.verify.start(Target{})
	workspaces.Put(j.workspace)
	j.workspace = nil
}

func (j *job) oldView(v ident.VolumeID) View {
	if i, ok := j.byID[v]; ok {
		return j.changes[i].Old
	}
	return nil
}

// source implements sources.
func (j *job) source(v ident.VolumeID) (number int, old View, ok bool) {
	i, ok := j.byID[v]
	if !ok || j.changes[i].Old == nil {
		return 0, nil, false
	}
	return j.frame.number(v), j.changes[i].Old, true
}

func (j *job) run(ctx context.Context) error {
	for pass := range numPass {
		for i := range j.changes {
			if err := j.volume(ctx, i, pass); err != nil {
				return fmt.Errorf("encoding volume %s: %w", j.changes[i].Volume, err)
			}
		}
	}
	for i, n := range j.notices {
		if n.blocks > 0 {
			j.frame.notice(j.changes[i].Volume, n.off, n.end-n.off, n.blocks)
			j.summary.Volumes[i].Encodings[classify.ZeroBlock][EncodedNotice].Chunks++
		}
	}
	if err := j.closeFrame(); err != nil {
		return err
	}
	return j.closePack()
}

// grown closes the frame when it is large enough.
func (j *job) grown(touched int64) error {
	j.touched += touched
	c := &j.frame.cols
	control := 0
	for i := range numColumns {
		if i != colData && i != colRaw {
			control += len(c[i])
		}
	}
	if len(c[colData])+len(c[colRaw]) < frameLiterals && control < frameControl && j.touched < frameTouched {
		return nil
	}
	return j.closeFrame()
}

// closeFrame compresses the open frame, decodes it again, and appends it to the open pack.
func (j *job) closeFrame() error {
	if j.frame.empty() {
		return nil
	}
	j.frame.closeSegment()
	var size [numColumns]int
	j.payload, j.scratch, size = j.frame.appendTo(j.payload[:0], j.scratch, j.squeezes())
	if err := j.verify.frameOf(context.Background(), FrameType, j.payload); err != nil {
		return fmt.Errorf("what was encoded does not decode to what was read: %w", err)
	}
	if len(j.open) > 0 && len(j.open)+pack.FrameHeadBytes+len(j.payload) > pack.MaxBytes {
		if err := j.closePack(); err != nil {
			return err
		}
	}
	total := pack.FrameHeadBytes + len(j.payload)
	if len(j.open) == 0 {
		total += pack.HeaderBytes
		j.open = pack.AppendHeader(make([]byte, 0, total), pack.Wire)
	}
	j.open = pack.AppendFrame(j.open, FrameType, j.payload)
	j.settle(size)
	j.price(size, total)
	j.frame.startFrame()
	j.touched = 0
	return nil
}

// closePack hands the open pack out.
func (j *job) closePack() error {
	if len(j.open) == 0 {
		return nil
	}
	p := pack.Pack{Ref: pack.Ref{ID: pack.Sum(j.open), Size: uint32(len(j.open))}, Bytes: j.open}
	j.open = nil
	j.summary.Packs = append(j.summary.Packs, p.Ref)
	if err := j.put(p); err != nil {
		return fmt.Errorf("pack %d of the epoch: %w", len(j.summary.Packs)-1, err)
	}
	return nil
}
