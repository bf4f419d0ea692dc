package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/weirstor/weir/intercept/leaf"
	"github.com/weirstor/weir/raftstore/packs/durable"
)

// content returns the blocks of the disk that are not zero.
func (d *Disk) content(ctx context.Context) (runs, error) {
	var out runs
	if d.created {
		return nil, nil
	}
	buf := make([]byte, stepBlocks*leaf.BlockSize)
	for off := int64(0); ; {
		start, end, err := d.backing.Data(off)
		if err != nil || start >= end {
			return out, err
		}
		for off = start / leaf.BlockSize * leaf.BlockSize; off < end; off += int64(len(buf)) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if err := d.backing.ReadAt(buf, off); err != nil {
				return nil, err
			}
			for i := 0; i < stepBlocks; i++ {
				block := uint64(off/leaf.BlockSize) + uint64(i)
				if !leaf.IsZero(buf[i*leaf.BlockSize:(i+1)*leaf.BlockSize]) && !out.has(block) {
					out.add(block)
				}
			}
		}
	}
}

// has reports whether the last run has the block already: two extents can share one.
func (r runs) has(block uint64) bool {
	return len(r) > 0 && block < r[len(r)-1].First+r[len(r)-1].Count
}

// resync compares the whole disk with a point and rewrites the blocks that differ, after saving what they hold if the
// policy says so.
func (d *Disk) resync(ctx context.Context, to Content) error {
	d.set(func(s *Status) { s.State, s.Target = Checking, to.Point() })
	p := &plan{}
	err := d.walk(ctx, to, func(block uint64, want BlockInfo, got leaf.Leaf) {
		if want.Leaf != got {
			p.add(block, want.Class)
		}
	})
	if err != nil {
		return err
	}
	if d.spec.Policy == Overwrite {
		if err := d.save(ctx, p.blocks); err != nil {
			return err
		}
	}
	from := mark{}
	if d.side != nil && d.side.Phase != phaseApplying {
		from.Number, from.Point, from.Size = d.side.From.Number, d.side.From.Point, d.side.From.Size
	}
	return d.change(ctx, from, to, p)
}

// walk calls f with every block of a point and the leaf that the disk has there.
func (d *Disk) walk(ctx context.Context, c Content, f func(block uint64, want BlockInfo, got leaf.Leaf)) error {
	total := uint64((c.Size() + leaf.BlockSize - 1) / leaf.BlockSize)
	buf := make([]byte, stepBlocks*leaf.BlockSize)
	var want [stepBlocks]BlockInfo
	for first := uint64(0); first < total; first += stepBlocks {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(stepBlocks, total-first)
		if err := c.Blocks(first, want[:n]); err != nil {
			return err
		}
		if err := d.backing.ReadAt(buf[:n*leaf.BlockSize], int64(first)*leaf.BlockSize); err != nil {
			return err
		}
		for i := range n {
			data := buf[i*leaf.BlockSize : (i+1)*leaf.BlockSize]
			f(first+i, want[i], leaf.Of(clip(data, first+i, c.Size())))
		}
	}
	return nil
}

// savedPath names the file for what an overwrite replaces now.
func (d *Disk) savedPath() string {
	return fmt.Sprintf("%s-saved-%s", d.sidecarPath(), time.Now().UTC().Format("20060102T150405.000000000"))
}

// Sizes and marks of a file of saved blocks, docs/format-store.md.
const (
	savedVersion   = 1
	savedHeadBytes = 8 + 8
	savedRunBytes  = 8 + 8 + 4
)

var savedMagic = [8]byte{'W', 'E', 'I', 'R', 'S', 'A', 'V', 'E'}

// save keeps a copy of blocks of the disk, durable on return.
func (d *Disk) save(ctx context.Context, blocks runs) (err error) {
	if len(blocks) == 0 {
		return nil
	}
	path := d.savedPath()
	f, err := d.opt.FS.OpenReadWrite(path, durable.Category)
	if err != nil {
		return fmt.Errorf("save what is replaced: %w", err)
	}
	err = d.saveTo(ctx, f, blocks)
	if err == nil {
		err = f.SyncData()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = durable.SyncDir(d.opt.FS, d.opt.FS.PathDir(path))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("save what is replaced: %w", err), d.opt.FS.Remove(path))
	}
	d.opt.Logger.Warn("what is replaced on the disk was saved", "file", path, "blocks", blocks.blocks())
	return nil
}

func (d *Disk) saveTo(ctx context.Context, f vfs.File, blocks runs) error {
	head := append(append([]byte(nil), savedMagic[:]...), savedVersion, 0, 0, 0, 0, 0, 0, 0)
	if _, err := f.WriteAt(head, 0); err != nil {
		return err
	}
	at := int64(savedHeadBytes)
	b := make([]byte, savedRunBytes+stepBlocks*leaf.BlockSize)
	return blocks.pieces(stepBlocks, func(first, count uint64) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		data := b[savedRunBytes : savedRunBytes+count*leaf.BlockSize]
		if err := d.backing.ReadAt(data, int64(first)*leaf.BlockSize); err != nil {
			return err
		}
		binary.LittleEndian.PutUint64(b, first)
		binary.LittleEndian.PutUint64(b[8:], count)
		binary.LittleEndian.PutUint32(b[16:], crc32.Update(crc32.Checksum(b[:16], castagnoli), castagnoli, data))
		n, err := f.WriteAt(b[:savedRunBytes+len(data)], at)
		at += int64(n)
		return err
	})
}
