package lab

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"

	"github.com/weirstor/weir/replicate/codec/deflate"
)

// The parts of a generated volume, bytes.
const (
	inodesAt   = 1 << 20  // records of 256 bytes
	journalAt  = 2 << 20  // copies of other blocks
	textAt     = 6 << 20  // files
	pagesAt    = 14 << 20 // a database
	programAt  = 22 << 20 // machine code
	noiseAt    = 26 << 20 // media
	objectsAt  = 30 << 20 // deflate streams
	freeAt     = 34 << 20
	diskBytes  = 64 << 20
	fileBytes  = 64 << 10 // room of a file
	objectRoom = 32 << 10
)

// stage is a generated volume and what its scenes go on with.
type stage struct {
	*disk
	rnd     *rand.Rand
	free    int // first free byte
	journal int
	log     int // where the next line of the log goes
	deflate *deflate.Compressor
}

// newStage returns a filled volume; the epoch is the first one.
func newStage(seed uint64) *stage {
	s := &stage{disk: newDisk(diskBytes), rnd: rand.New(rand.NewPCG(seed, 1)), free: freeAt, deflate: deflate.NewCompressor()}
	for at := inodesAt; at < journalAt; at += 256 {
		binary.LittleEndian.PutUint64(s.new[at:], s.rnd.Uint64N(1<<20))
		binary.LittleEndian.PutUint32(s.new[at+16:], 0x6920a000+s.rnd.Uint32N(1<<16))
		binary.LittleEndian.PutUint32(s.new[at+40:], s.rnd.Uint32())
	}
	for at := textAt; at < pagesAt; at += fileBytes {
		copy(s.new[at:], text(s.rnd, fileBytes/4+s.rnd.IntN(fileBytes*3/4)))
	}
	for at := pagesAt; at < programAt; at += 8192 {
		copy(s.new[at:], page(s.rnd, at/8192))
	}
	copy(s.new[programAt:], program(s.rnd, noiseAt-programAt))
	copy(s.new[noiseAt:], noise(s.rnd, objectsAt-noiseAt))
	for at := objectsAt; at < freeAt; at += objectRoom {
		copy(s.new[at:], object(s.deflate, text(s.rnd, 4096+s.rnd.IntN(40000))))
	}
	s.journal, s.log = journalAt, s.room(2<<20)
	for at := freeAt + 8<<20; at < diskBytes; at += 1 << 20 { // what deleted files left
		switch s.rnd.IntN(4) {
		case 0:
			copy(s.new[at:], text(s.rnd, 1<<20))
		case 1:
			copy(s.new[at:], noise(s.rnd, 1<<20))
		}
	}
	s.touch(0, diskBytes)
	s.next()
	return s
}

// room takes n bytes of what is free, which begins anew at its end.
func (s *stage) room(n int) int {
	n = (n + blockBytes - 1) / blockBytes * blockBytes
	if s.free+n > len(s.new) {
		s.free = freeAt + 2<<20
	}
	at := s.free
	s.free += n
	return at
}

// record writes a copy of a block into the journal, behind a descriptor now and then.
func (s *stage) record(block int) {
	if s.journal+2*blockBytes > textAt {
		s.journal = journalAt
	}
	if s.rnd.IntN(8) == 0 {
		s.write(s.journal, binary.BigEndian.AppendUint64([]byte("\xc0\x3b\x39\x98"), s.rnd.Uint64N(1<<30)))
		s.journal += blockBytes
	}
	s.write(s.journal, s.new[block:block+blockBytes])
	s.journal += blockBytes
}

// scene is one kind of work.
type scene struct {
	name string
	play func(s *stage, rnd *rand.Rand)
}

// scenes are the kinds of work, in the order in which the evaluation shows them.
var scenes = []scene{
	{"touch", func(s *stage, rnd *rand.Rand) {
		for range 40 + rnd.IntN(200) {
			at := inodesAt + rnd.IntN((journalAt-inodesAt)/256)*256
			s.write(at+16, binary.LittleEndian.AppendUint32(nil, 0x6921a000+rnd.Uint32N(9)))
			s.write(at+40, binary.LittleEndian.AppendUint32(nil, rnd.Uint32()))
			if rnd.IntN(2) == 0 {
				s.record(at / blockBytes * blockBytes)
			}
		}
	}},
	{"fields in place", func(s *stage, rnd *rand.Rand) {
		for range 100 + rnd.IntN(400) {
			s.write(pagesAt+rnd.IntN(programAt-pagesAt-8), binary.LittleEndian.AppendUint64(nil, rnd.Uint64()))
		}
	}},
	{"database", func(s *stage, rnd *rand.Rand) {
		wal := s.room(1 << 20)
		for range 30 + rnd.IntN(90) {
			at := block(rnd, pagesAt, programAt-8192) / 8192 * 8192
			for range 1 + rnd.IntN(4) {
				s.write(at+600+rnd.IntN(7000), noise(rnd, 8+rnd.IntN(80)))
			}
			s.write(at, noise(rnd, 8))
			if rnd.IntN(3) > 0 && wal+8192+24 < len(s.new) {
				s.write(wal, noise(rnd, 24))
				s.write(wal+24, s.new[at:at+8192])
				wal += 8192 + 24
			}
		}
	}},
	{"log", func(s *stage, rnd *rand.Rand) {
		lines := logLines(rnd, 2000+rnd.IntN(200000))
		if s.log+len(lines) > freeAt+2<<20 {
			s.log = freeAt
		}
		s.write(s.log, lines)
		s.log += len(lines)
	}},
	{"new text", func(s *stage, rnd *rand.Rand) {
		for range 1 + rnd.IntN(20) {
			n := 2000 + rnd.IntN(150000)
			s.write(s.room(n), text(rnd, n))
		}
	}},
	{"new media", func(s *stage, rnd *rand.Rand) {
		n := 20000 + rnd.IntN(3<<20)
		s.write(s.room(n), noise(rnd, n))
	}},
	{"copies of files", func(s *stage, rnd *rand.Rand) {
		for range 1 + rnd.IntN(20) {
			n := 4096 + rnd.IntN(300<<10)
			from := block(rnd, textAt, freeAt-n)
			s.write(s.room(n), s.new[from:from+n])
		}
	}},
	{"copied tree", func(s *stage, rnd *rand.Rand) {
		n := 100<<10 + rnd.IntN(3<<20)
		from := block(rnd, textAt, noiseAt-n)
		s.write(s.room(n), s.new[from:from+n])
	}},
	{"small files", func(s *stage, rnd *rand.Rand) {
		for range 5 + rnd.IntN(60) {
			n := 200 + rnd.IntN(9000)
			file := text(rnd, n)
			if from := textAt + rnd.IntN((pagesAt-textAt)/fileBytes)*fileBytes; rnd.IntN(3) > 0 {
				file = s.new[from : from+n] // as it was before
			}
			s.write(s.room(n), append(file[:n:n], make([]byte, (blockBytes-n%blockBytes)%blockBytes)...))
		}
	}},
	{"saved anew", func(s *stage, rnd *rand.Rand) {
		for range 3 + rnd.IntN(30) {
			from := textAt + rnd.IntN((pagesAt-textAt)/fileBytes)*fileBytes
			file := s.new[from : from+1000+rnd.IntN(fileBytes/4)]
			cut := rnd.IntN(len(file))
			b := append(append(append([]byte{}, file[:cut]...), "// an edited line\n"...), file[cut:]...)
			b = append(b, make([]byte, blockBytes-len(b)%blockBytes)...)
			s.write(s.room(len(b)), b)
		}
	}},
	{"archive", func(s *stage, rnd *rand.Rand) {
		var b []byte
		for range 4 + rnd.IntN(12) {
			n := 1000 + rnd.IntN(60000)
			from := block(rnd, textAt, freeAt-n)
			b = append(append(b, make([]byte, 512)...), s.new[from:from+n]...)
			copy(b[len(b)-n-512:], words[rnd.IntN(len(words))])
		}
		s.write(s.room(len(b)), b)
	}},
	{"edited files", func(s *stage, rnd *rand.Rand) {
		for range 1 + rnd.IntN(8) {
			at := textAt + rnd.IntN((pagesAt-textAt)/fileBytes)*fileBytes
			file := s.new[at : at+fileBytes-256]
			n := max(bytes.IndexByte(file, 0), 200)
			cut := rnd.IntN(n)
			line := text(rnd, 10+rnd.IntN(200))
			s.write(at, append(append(append([]byte{}, file[:cut]...), line...), file[cut:n]...)[:min(n+len(line), fileBytes)])
		}
	}},
	{"git objects", func(s *stage, rnd *rand.Rand) {
		for range 2 + rnd.IntN(12) {
			from := textAt + rnd.IntN((pagesAt-textAt)/fileBytes)*fileBytes
			content := append([]byte("blob\x00"), s.new[from:from+4000+rnd.IntN(30000)]...)
			copy(content[rnd.IntN(3000):], "edited")
			b := object(s.deflate, content)
			s.write(s.room(len(b)), b)
		}
	}},
	{"fresh streams", func(s *stage, rnd *rand.Rand) {
		for range 2 + rnd.IntN(12) {
			b := object(s.deflate, text(rnd, 4000+rnd.IntN(60000)))
			s.write(s.room(len(b)), b)
		}
	}},
	{"rebuilt program", func(s *stage, rnd *rand.Rand) {
		at := programAt + rnd.IntN(2<<20)/blockBytes*blockBytes
		n := 200000 + rnd.IntN(800000)
		b := append([]byte{}, s.new[at:at+n]...)
		for range 20 {
			cut := rnd.IntN(len(b))
			b = append(b[:cut:cut], append(program(rnd, 1+rnd.IntN(300)), b[cut:]...)...)
		}
		s.write(at, b[:n])
	}},
	{"overwritten", func(s *stage, rnd *rand.Rand) {
		for range 1 + rnd.IntN(6) {
			n := 4096 * (1 + rnd.IntN(100))
			s.write(block(rnd, textAt, objectsAt-n), noise(rnd, n))
		}
	}},
	{"deleted", func(s *stage, rnd *rand.Rand) {
		for range 1 + rnd.IntN(6) {
			n := 4096 * (1 + rnd.IntN(100))
			s.write(block(rnd, freeAt+2<<20, diskBytes-n), make([]byte, n))
		}
	}},
	{"the same again", func(s *stage, rnd *rand.Rand) {
		s.touch(block(rnd, textAt, objectsAt), 4096*(1+rnd.IntN(60)))
	}},
}

// mixed is the name of an epoch of several scenes.
const mixed = "everything"

// playMixed plays a few scenes.
func playMixed(s *stage, rnd *rand.Rand) {
	for range 6 {
		scenes[rnd.IntN(len(scenes))].play(s, rnd)
	}
}
