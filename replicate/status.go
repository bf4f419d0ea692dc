package replicate

import (
	"time"

	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/replicate/codec"
)

// State is what a Shipper is doing.
type State string

const (
	Connecting State = "connecting" // no session with a provider yet, or the last one broke; tries again by itself
	Following  State = "following"  // session open: epochs are shipped as they are sealed
	Blocked    State = "blocked"    // only an operator can go on; Reason says how
	Fenced     State = "fenced"     // another gateway has taken over; writes are refused
	Stopped    State = "stopped"    // Run has returned
)

// Status describes a Shipper at one moment.
type Status struct {
	State      State           `json:"state"`
	Reason     string          `json:"reason,omitempty"` // why, in words, when State is not Following
	Cluster    ident.ClusterID `json:"cluster"`
	Term       uint64          `json:"term"`
	Head       ident.Point     `json:"head"`
	HeadNumber uint64          `json:"head_number"` // for display; 0 until the first commit of this process
	HeadSealed time.Time       `json:"head_sealed"` // when the head's epoch was sealed
	Commits    uint64          `json:"commits"`     // by this process
	PackBytes  uint64          `json:"pack_bytes"`  // of these commits

	// Volumes is what each volume's changes became, summed over the commits of this process.
	Volumes map[ident.VolumeID]codec.ClassCounts `json:"volumes"`
	// Encodings is the same by class and encoding.
	Encodings map[ident.VolumeID]codec.EncodingCounts `json:"-"`
}

func (s *Status) addEncodings(of map[ident.VolumeID]codec.EncodingCounts) {
	for v, n := range of {
		sum := s.Encodings[v]
		sum.Add(&n)
		s.Encodings[v] = sum
	}
}

func (s *Status) add(c *Commit, number uint64) {
	s.Head, s.HeadNumber = c.Point(), number
	s.HeadSealed = time.Unix(0, c.Time)
	s.Commits++
	s.PackBytes += uint64(c.PackBytes())
	for _, v := range c.Volumes {
		sum := s.Volumes[v.Volume]
		for i, n := range v.Counts {
			sum[i].Chunks += n.Chunks
			sum[i].HostBytes += n.HostBytes
			sum[i].WireBytes += n.WireBytes
			sum[i].ShareBytes += n.ShareBytes
		}
		s.Volumes[v.Volume] = sum
	}
}
