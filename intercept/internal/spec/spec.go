package spec

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Field is a row of a layout table.
type Field struct{ Off, Bytes int }

// rows returns the cells of the table rows in the section whose heading line ends with title.
func rows(path, title string) ([][]string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var out [][]string
	inside := false
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			inside = strings.HasSuffix(line, title)
		}
		if !inside || !strings.HasPrefix(line, "|") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		out = append(out, cells)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s has no table in section %q", path, title)
	}
	return out, nil
}

// Layout returns the fields of a layout table (offset, bytes, content), by the first word of their content.
func Layout(path, title string) (map[string]Field, error) {
	list, err := rows(path, title)
	if err != nil {
		return nil, err
	}
	m := make(map[string]Field)
	for _, c := range list {
		off, err := strconv.Atoi(c[0])
		if err != nil || len(c) < 3 {
			continue
		}
		n, nerr := strconv.Atoi(c[1])
		if nerr != nil && c[1] != "n" { // a length that varies
			continue
		}
		word, _, _ := strings.Cut(c[2], " ")
		m[strings.Trim(word, ",:")] = Field{Off: off, Bytes: n}
	}
	return m, nil
}

// Constants returns the values of a table of constants (name, value) whose names begin with prefix, without it.
func Constants(path, prefix string) (map[string]int, error) {
	list, err := rows(path, "Constants")
	if err != nil {
		return nil, err
	}
	m := make(map[string]int)
	for _, c := range list {
		name, ok := strings.CutPrefix(strings.Trim(c[0], "`"), prefix)
		if v, err := strconv.Atoi(c[1]); ok && err == nil {
			m[name] = v
		}
	}
	return m, nil
}
