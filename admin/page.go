package admin

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/weirstor/weir/admin/api"
)

//go:embed web
var webFiles embed.FS

const eventsShown = 12

// sections are the parts of the page that are replaced on their own when they change.
var sections = []string{"health", "tiles", "volumes", "disks", "cluster", "events"}

// view is what the page shows.
type view struct {
	Status   api.Status
	Sections []section
	Events   []api.Event // newest first
	Rates    map[string]rate
	HostB    uint64
	WireB    uint64
	Lag      float64
}

// section is one part, rendered.
type section struct {
	ID   string        `json:"id"`
	HTML template.HTML `json:"html"`
}

// rate is what a volume does now, in bytes per second.
type rate struct {
	Read, Written float64
}

// pager renders the page and follows the system for one reader.
type pager struct {
	tmpl *template.Template
	prev api.Status
	last map[string]template.HTML
}

// page serves / as HTML, or, for a reader that wants events, the parts of it that have changed once a second.
func (s *Server) page() (http.Handler, error) {
	tmpl, err := template.New("").Funcs(pageFuncs).ParseFS(webFiles, "web/*.html")
	if err != nil {
		return nil, fmt.Errorf("admin: page: %w", err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := &pager{tmpl: tmpl, last: make(map[string]template.HTML)}
		if (&request{http: r}).wantsStream() {
			s.follow(w, r, p)
			return
		}
		v, err := p.render(s.status.get(), s.journal.Since(0))
		var b bytes.Buffer
		if err == nil {
			err = tmpl.ExecuteTemplate(&b, "page.html", v)
		}
		if err != nil {
			writeProblem(w, api.ProblemOf(err))
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = b.WriteTo(w) // the reader may be gone
	}), nil
}

// follow streams changed sections until the reader or the server ends.
func (s *Server) follow(w http.ResponseWriter, r *http.Request, p *pager) {
	out := openStream(w)
	tick := time.NewTicker(statusDefault)
	defer tick.Stop()
	for {
		v, err := p.render(s.status.get(), s.journal.Since(0))
		if err != nil {
			s.log.Error("page", "error", err)
			return
		}
		if err := out.send("sections", 0, p.changed(v.Sections)); err != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}

// render makes every section from st.
func (p *pager) render(st api.Status, events []api.Event) (view, error) {
	v := view{Status: st, Rates: rates(p.prev, st)}
	for i := len(events) - 1; i >= 0 && len(v.Events) < eventsShown; i-- {
		v.Events = append(v.Events, events[i])
	}
	for _, g := range st.Groups {
		v.HostB += g.Wire.HostBytes
		v.WireB += g.Wire.SentBytes
		v.Lag = max(v.Lag, g.LagSeconds)
	}
	p.prev = st
	for _, id := range sections {
		var b bytes.Buffer
		if err := p.tmpl.ExecuteTemplate(&b, id, v); err != nil {
			return v, err
		}
		v.Sections = append(v.Sections, section{ID: id, HTML: template.HTML(b.String())}) //nolint:gosec // escaped by the template
	}
	return v, nil
}

// changed returns the sections that differ from what this reader got before.
func (p *pager) changed(all []section) []section {
	out := []section{}
	for _, s := range all {
		if p.last[s.ID] != s.HTML {
			p.last[s.ID] = s.HTML
			out = append(out, s)
		}
	}
	return out
}

func rates(prev, now api.Status) map[string]rate {
	out := make(map[string]rate)
	sec := now.Now.Sub(prev.Now).Seconds()
	if prev.Now.IsZero() || sec <= 0 {
		return out
	}
	before := make(map[string]api.HostCounters)
	for _, v := range prev.Volumes {
		before[v.ID] = v.Host
	}
	for _, v := range now.Volumes {
		b, ok := before[v.ID]
		if ok {
			out[v.ID] = rate{perSecond(b.ReadBytes, v.Host.ReadBytes, sec), perSecond(b.WrittenBytes, v.Host.WrittenBytes, sec)}
		}
	}
	return out
}

func perSecond(before, after uint64, sec float64) float64 {
	if after < before {
		return 0
	}
	return float64(after-before) / sec
}

// classShare is one piece of a volume's class bar.
type classShare struct {
	Class   string
	Bytes   uint64
	Percent float64
}

var classOrder = []string{"MetadataOnly", "SmallData", "MediumData", "LargeData", "ZeroBlock"}

// classShares sums chunks by class, in the order in which the page shows them.
func classShares(chunks []api.ChunkCount) []classShare {
	sum := make(map[string]uint64)
	var total uint64
	for _, c := range chunks {
		sum[c.Class] += c.Bytes
		total += c.Bytes
	}
	var out []classShare
	for _, class := range classOrder {
		if sum[class] > 0 {
			out = append(out, classShare{class, sum[class], 100 * float64(sum[class]) / float64(total)})
		}
	}
	return out
}

var pageFuncs = template.FuncMap{
	"bytes":   func(n any) string { return humanize.IBytes(toUint(n)) },
	"rate":    func(n float64) string { return humanize.IBytes(uint64(n)) + "/s" },
	"ago":     humanize.Time,
	"clock":   func(t time.Time) string { return t.Format("15:04:05") },
	"percent": func(f float64) string { return fmt.Sprintf("%.1f", f) },
	"lag":     lagText,
	"ratio":   ratioText,
	"shares":  classShares,
	"role":    roleText,
	"add":     func(a, b float64) float64 { return a + b },
}

func roleText(r api.Role) string {
	if r == api.RoleAll {
		return "gateway and provider"
	}
	return string(r)
}

func toUint(n any) uint64 {
	switch v := n.(type) {
	case int64:
		return uint64(max(v, 0))
	case int:
		return uint64(max(v, 0))
	case uint64:
		return v
	}
	return 0
}

func lagText(s float64) string {
	switch {
	case s <= 0:
		return "none"
	case s < 10:
		return fmt.Sprintf("%.1f s", s)
	default:
		return (time.Duration(s) * time.Second).String()
	}
}

// ratioText says how many host bytes one byte on the wire stands for.
func ratioText(host, wire uint64) string {
	if host == 0 || wire == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f : 1", float64(host)/float64(wire))
}

// assets serves the embedded style and script.
func assets() http.Handler {
	sub, err := fs.Sub(webFiles, "web")
	if err != nil {
		panic(err) // the folder is embedded
	}
	return http.FileServerFS(sub)
}
