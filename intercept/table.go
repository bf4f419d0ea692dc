package intercept

import (
	"fmt"
	"slices"

	"github.com/weirstor/weir/intercept/checkpoint"
	"github.com/weirstor/weir/intercept/wal"
)

// table is the volume table at one log position. It never changes.
type table struct {
	next    uint32 // number of the next volume
	volumes []checkpoint.Volume
}

// The changes that a table record holds: one byte, then the volume as it is afterwards.
const (
	tableCreate byte = 1
	tableResize byte = 2
	tableDelete byte = 3
)

// tableChange is one change of the table.
type tableChange struct {
	op     byte
	volume checkpoint.Volume
}

func (c *tableChange) record() wal.Record {
	return wal.Record{Kind: wal.KindTable, Payload: checkpoint.AppendVolume([]byte{c.op}, &c.volume)}
}

func decodeTableChange(b []byte) (tableChange, error) {
	if len(b) == 0 || b[0] < tableCreate || b[0] > tableDelete {
		return tableChange{}, fmt.Errorf("%w: unknown change of the volume table", checkpoint.ErrCorrupt)
	}
	v, err := checkpoint.DecodeVolume(b[1:])
	return tableChange{op: b[0], volume: v}, err
}

// with returns the table after c.
func (t *table) with(c tableChange) *table {
	n := &table{next: t.next, volumes: slices.Clone(t.volumes)}
	i := slices.IndexFunc(n.volumes, func(v checkpoint.Volume) bool { return v.Number == c.volume.Number })
	switch {
	case c.op == tableCreate && i < 0:
		n.volumes = append(n.volumes, c.volume)
		n.next = max(n.next, c.volume.Number+1)
	case c.op == tableResize && i >= 0:
		n.volumes[i].Size = c.volume.Size
	case c.op == tableDelete && i >= 0:
		n.volumes = slices.Delete(n.volumes, i, i+1)
	}
	return n
}

// find returns the volume with that number; nil if there is none.
func (t *table) find(number uint32) *checkpoint.Volume {
	for i := range t.volumes {
		if t.volumes[i].Number == number {
			return &t.volumes[i]
		}
	}
	return nil
}

// size is the size of a volume in bytes, 0 when it is not in the table.
func (t *table) size(number uint32) int64 {
	if v := t.find(number); v != nil {
		return v.Size
	}
	return 0
}
