package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/admin/client"
)

// explainFile explains the part of a volume that a file lies in, and keeps of it what is the file's.
func explainFile(ctx context.Context, d *client.Client, volume, path string) (api.Explanation, error) {
	f, err := d.FilePlace(ctx, volume, path)
	if err != nil {
		return api.Explanation{}, err
	}
	if len(f.Runs) == 0 {
		return api.Explanation{Volume: f.Volume, Notes: []string{fmt.Sprintf("%s, inode %d, %d bytes, has no blocks of its own", f.Path, f.Inode, f.Size)}}, nil
	}
	last := f.Runs[len(f.Runs)-1].Range
	e, err := d.Explain(ctx, volume, f.Runs[0].Range.Off, last.Off+last.Len-f.Runs[0].Range.Off)
	if err != nil {
		return e, err
	}
	e.Notes = append(e.Notes, fmt.Sprintf("%s: inode %d, %d bytes in %d pieces", f.Path, f.Inode, f.Size, len(f.Runs)))
	e.Parts = slices.DeleteFunc(e.Parts, func(p api.ExplainPart) bool { return p.Inode != f.Inode })
	if e.Changes != nil {
		e.Changes.Chunks = slices.DeleteFunc(e.Changes.Chunks, func(c api.ExplainChunk) bool { return !within(f, c.Offset, c.Length) })
		e.Changes.Totals = nil // they count the other files between the pieces
	}
	return e, nil
}

// within reports whether a range touches the file.
func within(f api.FilePlace, off, n int64) bool {
	return slices.ContainsFunc(f.Runs, func(r api.FileRun) bool { return off < r.Range.Off+r.Range.Len && r.Range.Off < off+n })
}
