package layout

import (
	"bytes"
	"encoding/binary"

	"github.com/weirstor/weir/classify/fs"
)

// Bounds of LVM2's structures: the label lies in one of the first four sectors; a metadata area is not larger than this
// by default configuration, and text beyond it is not read.
const (
	lvmLabelSectors = 4
	maxLVMText      = 4 << 20
	maxLVMTexts     = 4 * maxLVMText // of all physical volumes together
	maxLVMSegments  = 1 << 14
)

// physical looks into the logical volumes of an LVM2 physical volume, as far as they are linear and lie on it alone.
// Source: LVM2, lib/format_text/layout.h (struct pv_header, mda_header, raw_locn) and lib/label/label.h.
func (l *Layout) physical(on *layer, label string, depth int) (bool, error) {
	pv, err := findPV(on)
	if err != nil || pv == nil {
		return false, wrap(err, "LVM label", label)
	}
	text, err := l.metadata(on, pv)
	if err != nil {
		return true, wrap(err, "LVM metadata", label)
	}
	before := len(l.names)
	vg := parseVG(text, pv.uuid)
	for _, lv := range vg.volumes {
		if err := l.look(on.within(vg.place(lv)), join(label, "lvm "+vg.name+"/"+lv.name), depth+1); err != nil {
			return true, err
		}
	}
	l.prefix("lvm", before)
	return true, nil
}

// lvmPV is what the label of a physical volume says.
type lvmPV struct {
	uuid string // 32 characters, without the dashes of the text form
	mdas []fs.Span
}

// findPV returns nil if there is no label.
func findPV(on *layer) (*lvmPV, error) {
	var head [lvmLabelSectors * 512]byte
	if err := on.ReadAt(head[:], 0); err != nil {
		return nil, err
	}
	for i := range int64(lvmLabelSectors) {
		s := head[i*512 : (i+1)*512]
		if string(s[:8]) == "LABELONE" && string(s[24:32]) == "LVM2 001" && binary.LittleEndian.Uint64(s[8:]) == uint64(i) {
			return parsePV(s), nil
		}
	}
	return nil, nil
}

// parsePV reads the pv_header that a label sector leads to: UUID, device size, data areas, metadata areas.
func parsePV(sector []byte) *lvmPV {
	at := int(binary.LittleEndian.Uint32(sector[20:]))
	if at < 32 || at+40 > len(sector) {
		return nil
	}
	pv := &lvmPV{uuid: string(sector[at : at+32])}
	at += 40
	for list := 0; list < 2 && at+16 <= len(sector); at += 16 {
		off, n := binary.LittleEndian.Uint64(sector[at:]), binary.LittleEndian.Uint64(sector[at+8:])
		switch {
		case off == 0:
			list++
		case list == 1 && off < 1<<62 && n < 1<<62:
			pv.mdas = append(pv.mdas, fs.Span{Off: int64(off), Len: int64(n)})
		}
	}
	return pv
}

// metadata returns the text of the first metadata area that has one, and reports all areas.
func (l *Layout) metadata(on *layer, pv *lvmPV) ([]byte, error) {
	l.report(on, 0, lvmLabelSectors*512, fs.GroupDesc)
	for _, a := range pv.mdas {
		l.report(on, a.Off, a.Len, fs.GroupDesc)
	}
	for _, a := range pv.mdas {
		if l.text > maxLVMTexts {
			return nil, nil
		}
		if text, err := readMDA(on, a); err != nil || text != nil {
			l.text += int64(len(text))
			return text, err
		}
	}
	return nil, nil
}

// readMDA reads the newest text of a metadata area: a ring behind a header of one sector.
func readMDA(on *layer, area fs.Span) ([]byte, error) {
	var h [512]byte
	if area.Len <= 512 || area.Off+area.Len > on.size() {
		return nil, nil
	}
	if err := on.ReadAt(h[:], area.Off); err != nil {
		return nil, err
	}
	if !bytes.Equal(h[4:20], []byte(" LVM2 x[5A%r0N*>")) {
		return nil, nil
	}
	off, n := binary.LittleEndian.Uint64(h[40:]), binary.LittleEndian.Uint64(h[48:])
	if off < 512 || off >= uint64(area.Len) || n == 0 || n > maxLVMText || n > uint64(area.Len)-512 {
		return nil, nil
	}
	text := make([]byte, n)
	first := min(int64(n), area.Len-int64(off))
	if err := on.ReadAt(text[:first], area.Off+int64(off)); err != nil {
		return nil, err
	}
	return text, on.ReadAt(text[first:], area.Off+512)
}
