package ext4

import "bytes"

const (
	xattrMagic  = 0xea020000
	xattrSystem = 7 // index of the name prefix "system."
)

// inlineRest is what of a small file's content lies behind the 60 bytes of i_block: the value of the attribute
// system.data within the inode ("Inline Data", "Extended Attributes"). It is nil if there is none.
func inlineRest(raw []byte) []byte {
	if len(raw) < 132 {
		return nil
	}
	start := 128 + int(le16(raw, 0x80))
	if start+4 > len(raw) || le32(raw, start) != xattrMagic {
		return nil
	}
	body := raw[start+4:]
	for e := body; len(e) >= 16 && le32(e, 0) != 0; {
		name, off, size := int(e[0]), int(le16(e, 2)), int(le32(e, 8))
		if 16+name > len(e) {
			return nil
		}
		if e[1] == xattrSystem && bytes.Equal(e[16:16+name], []byte("data")) && le32(e, 4) == 0 {
			if size < 0 || off+size > len(body) {
				return nil
			}
			return body[off : off+size]
		}
		next := (16 + name + 3) &^ 3
		if next > len(e) {
			return nil
		}
		e = e[next:]
	}
	return nil
}
