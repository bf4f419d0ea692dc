package ntfs

import "github.com/weirstor/weir/classify/fs"

// Regions implements fs.FileSystem.
func (f *FileSystem) Regions(fuel *fs.Fuel, add func(off, n int64, kind fs.Region)) error {
	add(0, f.total, fs.Data)
	report := func(s stream, kind fs.Region) {
		for _, r := range s.runs {
			add(r.Off, r.Len, kind)
		}
	}
	for _, system := range []struct {
		record       uint64
		data, bitmap fs.Region
	}{
		{recordMFT, fs.InodeTable, fs.InodeBitmap},
		{recordMirror, fs.InodeTable, fs.Unknown},
		{recordLog, fs.Journal, fs.Unknown},
		{recordBitmap, fs.BlockBitmap, fs.Unknown},
	} {
		raw, err := f.readRecord(system.record)
		if err != nil {
			return err
		}
		if raw == nil {
			continue
		}
		w := &file{f: f, fuel: fuel, ino: &fs.Inode{}}
		w.attributes(raw)
		if err := w.extensions(system.record); err != nil {
			return err
		}
		report(w.data, system.data)
		if system.bitmap != fs.Unknown {
			report(w.bitmap, system.bitmap)
		}
	}
	add(0, min(bootBytes, f.total), fs.Superblock)
	return f.directories(fuel, add)
}

// directories reports the indexes of directories, as far as the fuel goes.
func (f *FileSystem) directories(fuel *fs.Fuel, add func(off, n int64, kind fs.Region)) error {
	for n := int64(0); n < f.records && fuel.Use(1); n++ {
		ino, err := f.inode(uint64(n), fuel)
		if err != nil {
			return err
		}
		if ino == nil || ino.Type != fs.Dir {
			continue
		}
		for _, r := range ino.Runs {
			add(r.Off, r.Len, fs.Directory)
		}
	}
	return nil
}
