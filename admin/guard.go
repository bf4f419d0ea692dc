package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/weirstor/weir/admin/api"
)

// guard checks Host, origin and token before a request reaches the routes.
func (s *Server) guard(next http.Handler) http.Handler {
	origin := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secureHeaders(w.Header())
		if err := s.admit(r, origin); err != nil {
			p := api.ProblemOf(err)
			if p.Status == http.StatusUnauthorized {
				w.Header().Set("WWW-Authenticate", `Basic realm="weir", charset="UTF-8"`)
			}
			writeProblem(w, p)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) admit(r *http.Request, origin *http.CrossOriginProtection) error {
	if !s.hostAllowed(r.Host) {
		return fmt.Errorf("%w: Host %q is not a name of this system", api.ErrInvalid, r.Host)
	}
	if err := origin.Check(r); err != nil {
		return fmt.Errorf("%w: %w", api.ErrUnauthorized, err)
	}
	if r.URL.Path == "/healthz" || s.openReads && readsOnly(r) || s.hasToken(r) {
		return nil
	}
	return api.Advise(fmt.Errorf("%w: this call needs the token of the daemon", api.ErrUnauthorized),
		"run the command as the user of the daemon, or give --data DIR or WEIR_TOKEN")
}

// readsOnly reports whether a call changes nothing and tells no volume's content.
func readsOnly(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && !strings.HasSuffix(r.URL.Path, "/content")
}

// hostAllowed accepts addresses, which no rebinding of a name can produce, and known names.
func (s *Server) hostAllowed(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return s.hosts[strings.ToLower(host)]
}

// hasToken compares in constant time.
func (s *Server) hasToken(r *http.Request) bool {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		_, token, ok = r.BasicAuth()
	}
	got, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(s.token))
	return ok && subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

func secureHeaders(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "+
		"img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the reader may be gone
}

func writeProblem(w http.ResponseWriter, p *api.Problem) {
	w.Header().Set("Content-Type", api.ProblemMediaType)
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the reader may be gone
}

// healthz is 200 while the doors of the role are open and 503 otherwise.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	h := s.backend.Health()
	status := http.StatusServiceUnavailable
	if h.State == api.HealthOK || h.State == api.HealthDegraded {
		status = http.StatusOK
	}
	writeJSON(w, status, h)
}
