package origin

import (
	"fmt"
	"path"
	"strings"

	"github.com/weirstor/weir/classify/fs"
)

// maxPathDepth bounds how many directories lie above a file: directories that contain each other end there.
const maxPathDepth = 256

// Path is the first name of the file with all directories above it, behind the label of its file system if the volume
// has several: "/home/a", "partition 2:/home/a". A file without a name is "<inode N>".
func (f *File) Path() string { return f.system.prefix() + f.system.path(f) }

// Paths are all its names, as Path gives them.
func (f *File) Paths() []string {
	out := make([]string, 0, len(f.names))
	for _, n := range f.names {
		out = append(out, f.system.prefix()+f.system.named(n))
	}
	return out
}

func (s *system) prefix() string {
	if s.label == "" {
		return ""
	}
	return s.label + ":"
}

func (s *system) path(f *File) string {
	if f.Number == s.root {
		return "/"
	}
	if len(f.names) == 0 {
		return fmt.Sprintf("<inode %d>", f.Number)
	}
	return s.named(f.names[0])
}

// named walks up from an entry to the root.
func (s *system) named(n name) string {
	parts := []string{n.name}
	for dir := n.dir; dir != s.root; {
		d := s.files[dir]
		if d == nil || len(d.names) == 0 || len(parts) > maxPathDepth {
			parts = append(parts, fmt.Sprintf("<inode %d>", dir))
			return join(parts)
		}
		parts = append(parts, d.names[0].name)
		dir = d.names[0].dir
	}
	return "/" + join(parts)
}

// join puts the parts, the last first, together.
func join(parts []string) string {
	var b strings.Builder
	for i := len(parts) - 1; i >= 0; i-- {
		b.WriteString(parts[i])
		if i > 0 {
			b.WriteByte('/')
		}
	}
	return b.String()
}

// File finds a file by one of its paths; nil if there is none.
func (t *Tree) File(p string) *File {
	for _, s := range t.systems {
		rest, ok := strings.CutPrefix(p, s.prefix())
		if !ok || !strings.HasPrefix(rest, "/") {
			continue
		}
		rest = path.Clean(rest)
		if rest == "/" {
			return s.files[s.root]
		}
		for _, f := range s.files {
			for _, n := range f.names {
				if strings.HasSuffix(rest, "/"+n.name) && s.named(n) == rest {
					return f
				}
			}
		}
	}
	return nil
}

// Runs are the places of the file's content on the volume, in address order.
func (t *Tree) Runs(f *File) []fs.Run {
	var out []fs.Run
	for _, o := range t.owned {
		if o.of == f && o.file >= 0 {
			out = append(out, fs.Run{File: o.file, Off: o.off, Len: o.n})
		}
	}
	return out
}
