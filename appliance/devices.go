package appliance

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/intercept"
	"github.com/weirstor/weir/intercept/ident"
	"github.com/weirstor/weir/replicate/rpc"
	"github.com/weirstor/weir/target"
)

const (
	pointReadMax     = 4 << 20 // bytes of one ReadPoint call
	pointReadTimeout = 30 * time.Second
)

// pointDevice is a volume at a kept point, read from the provider cluster. It never changes.
type pointDevice struct {
	calls     rpc.ProviderClient
	name      string // VOLUME@POINT
	point     *rpc.Point
	volume    ident.VolumeID
	size      int64
	blockSize int
}

var _ target.Device = (*pointDevice)(nil)

// id names the device for ever: a digest of volume and point.
func (d *pointDevice) id() [16]byte {
	h := sha256.Sum256(append(append([]byte("weir point"), d.volume.UUID[:]...), d.point.GetDigest()...))
	return [16]byte(h[:16])
}

func (d *pointDevice) ReadAt(p []byte, off int64) error {
	if err := target.CheckRange(off, int64(len(p)), d.size); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), pointReadTimeout)
	defer cancel()
	for len(p) > 0 {
		n := min(len(p), pointReadMax)
		r, err := d.calls.ReadPoint(ctx, &rpc.ReadPointRequest{Point: d.point, Volume: d.volume.UUID[:], Offset: off, Length: uint32(n)})
		if err != nil {
			return d.readError(off, int64(n), err)
		}
		if len(r.GetData()) != n {
			return fmt.Errorf("%w: %s at %d: provider sent %d bytes, want %d", target.ErrIO, d.name, off, len(r.GetData()), n)
		}
		copy(p, r.GetData())
		p, off = p[n:], off+int64(n)
	}
	return nil
}

func (d *pointDevice) readError(off, n int64, err error) error {
	if errors.Is(err, rpc.ErrDamaged) {
		return &target.MediumError{Off: off, Len: n, Err: err}
	}
	return fmt.Errorf("%w: %s at %d+%d: %w", target.ErrIO, d.name, off, n, err)
}

func (d *pointDevice) Extents(off, n int64) ([]target.Extent, error) {
	if err := target.CheckRange(off, n, d.size); err != nil || n == 0 {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), pointReadTimeout)
	defer cancel()
	r, err := d.calls.PointExtents(ctx, &rpc.PointExtentsRequest{Point: d.point, Volume: d.volume.UUID[:], Offset: off, Length: n})
	if err != nil {
		return nil, d.readError(off, n, err)
	}
	out := make([]target.Extent, 0, len(r.GetExtents()))
	for _, e := range r.GetExtents() {
		out = append(out, target.Extent{Off: e.GetOffset(), Len: e.GetLength(), Kind: target.ExtentKind(e.GetKind())})
	}
	return out, nil
}

func (d *pointDevice) WriteAt(p []byte, off int64, _ bool) error { return d.refuse(off, int64(len(p))) }

func (d *pointDevice) WriteZeroes(off, n int64, _ target.ZeroFlags) error { return d.refuse(off, n) }

func (d *pointDevice) Trim(off, n int64, _ bool) error { return d.refuse(off, n) }

func (d *pointDevice) refuse(off, n int64) error {
	return fmt.Errorf("%w: %s at %d+%d", target.ErrReadOnly, d.name, off, n)
}

func (d *pointDevice) Flush() error { return nil }

func (d *pointDevice) Size() int64 { return d.size }

func (d *pointDevice) BlockSize() int { return d.blockSize }

func (d *pointDevice) ReadOnly() bool { return true }

// device returns what a door serves under name: a volume, VOLUME@CLONE or VOLUME@POINT.
func (g *gateway) device(name string) (target.Device, error) {
	volume, point, isPoint := strings.Cut(name, "@")
	if !isPoint {
		v, err := g.group.Volume(name)
		if errors.Is(err, intercept.ErrNotFound) {
			err = fmt.Errorf("%w: %w", api.ErrNotFound, err)
		}
		if err != nil {
			return nil, err
		}
		return v, nil
	}
	if d, err := g.system.cloneDevice(volume, point); d != nil || err != nil {
		return d, err
	}
	return g.pointDevice(volume, point)
}

// pointDevice finds a point by name or end, and the volume in it by the name that it had there.
func (g *gateway) pointDevice(volume, point string) (*pointDevice, error) {
	ctx, cancel := context.WithTimeout(context.Background(), clusterTimeout)
	defer cancel()
	calls := g.system.cluster.calls
	id := g.group.ID()
	info, err := findPoint(ctx, calls, id.UUID[:], point)
	if err != nil {
		return nil, err
	}
	for _, v := range info.GetVolumes() {
		if v.GetName() != volume {
			continue
		}
		if v.GetPartial() {
			return nil, api.Advise(fmt.Errorf("%w: the first sync of volume %q was not complete at point %q", api.ErrConflict, volume, point),
				"take a later point; weir volume show %s says how far it is", volume)
		}
		id, err := rpc.ToUUID(v.GetVolume())
		if err != nil {
			return nil, err
		}
		return &pointDevice{calls: calls, name: volume + "@" + point, point: info.GetPoint(), volume: ident.VolumeID{UUID: id},
			size: v.GetSize(), blockSize: int(v.GetBlockSize())}, nil
	}
	return nil, fmt.Errorf("%w: volume %q in point %q", api.ErrNotFound, volume, point)
}

// findPoint returns the newest point of a group that has the name, or the end, given.
func findPoint(ctx context.Context, calls rpc.ProviderClient, group []byte, point string) (*rpc.PointInfo, error) {
	r, err := calls.Points(ctx, &rpc.PointsRequest{Group: group})
	if err != nil {
		return nil, clusterError(err)
	}
	p, _, err := pickPoint(r.GetPoints(), point)
	return p, err
}

// pickPoint returns the newest of points, oldest first, that has the name, or the end, given; and whether it is the head.
func pickPoint(points []*rpc.PointInfo, point string) (p *rpc.PointInfo, head bool, err error) {
	end, noEnd := strconv.ParseUint(point, 10, 64)
	for i := len(points) - 1; i >= 0; i-- {
		if points[i].GetName() == point || noEnd == nil && points[i].GetPoint().GetEnd() == end {
			return points[i], i == len(points)-1, nil
		}
	}
	return nil, false, fmt.Errorf("%w: point %q", api.ErrNotFound, point)
}
