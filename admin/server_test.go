package admin

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"go.uber.org/goleak"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/admin/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testToken = "weir_TESTTOKEN"

// start serves f; every exchange of the tests' clients with it is checked against the OpenAPI document.
func start(t *testing.T, f *fake, open bool) (*Server, *httptest.Server) {
	t.Helper()
	s, err := New(Options{Backend: f, Journal: NewJournal(), Logger: slog.New(slog.DiscardHandler), Token: testToken, OpenReads: open})
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(checked(t, s.Handler()))
	t.Cleanup(func() {
		s.cancel()
		h.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return s, h
}

// checked validates requests and JSON answers against the document.
func checked(t *testing.T, next http.Handler) http.Handler {
	doc, err := openapi3.NewLoader().LoadFromData(openapiDocument)
	if err != nil {
		t.Fatal(err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		route, params, err := router.FindRoute(r)
		if err != nil || strings.Contains(r.Header.Get("Accept"), "event-stream") {
			next.ServeHTTP(w, r)
			return
		}
		checkExchange(t, next, w, r, route, params)
	})
}

func checkExchange(t *testing.T, next http.Handler, w http.ResponseWriter, r *http.Request, route *routers.Route, params map[string]string) {
	in := &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true}}
	badRequest := openapi3filter.ValidateRequest(r.Context(), in)
	rec := httptest.NewRecorder()
	next.ServeHTTP(rec, r)
	if badRequest != nil && rec.Code < 400 {
		t.Errorf("%s %s: accepted what the document forbids: %v", r.Method, r.URL, badRequest)
	}
	body := rec.Body.Bytes()
	err := openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: rec.Code, Header: rec.Header(), Body: io.NopCloser(bytes.NewReader(body))})
	if err != nil {
		t.Errorf("%s %s: answer %d: %v", r.Method, r.URL, rec.Code, err)
	}
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(rec.Code)
	_, _ = w.Write(body)
}

func connect(t *testing.T, h *httptest.Server, token string) *client.Client {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	c, err := client.New(client.Options{Address: h.URL, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestVolumes(t *testing.T) {
	_, h := start(t, newFake(), true)
	c, ctx := connect(t, h, testToken), t.Context()
	v, err := c.CreateVolume(ctx, api.VolumeCreate{Name: "v", Size: 1 << 30})
	if err != nil || v.Size != 1<<30 || v.BlockSize != 512 {
		t.Fatalf("created %+v, %v", v, err)
	}
	if _, err := c.CreateVolume(ctx, api.VolumeCreate{Name: "v", Size: 1 << 30}); !errors.Is(err, api.ErrConflict) {
		t.Errorf("second create: %v, want conflict", err)
	}
	if _, err := c.CreateVolume(ctx, api.VolumeCreate{Name: "w", Size: -1}); !errors.Is(err, api.ErrInvalid) {
		t.Errorf("negative size: %v, want invalid", err)
	}
	if v, err = c.ResizeVolume(ctx, "v", 2<<30); err != nil || v.Size != 2<<30 {
		t.Errorf("resized %+v, %v", v, err)
	}
	if got, err := c.Volumes(ctx); err != nil || len(got) != 1 {
		t.Errorf("list: %v, %v", got, err)
	}
	if _, err := c.Volume(ctx, "a/b c?"); !errors.Is(err, api.ErrNotFound) || !strings.Contains(err.Error(), "a/b c?") {
		t.Errorf("strange name: %v, want not found with the name", err)
	}
	if e, err := c.Explain(ctx, "v", 4096, 8192); err != nil || e.Range != (api.Range{Off: 4096, Len: 8192}) {
		t.Errorf("explain: %+v, %v", e, err)
	}
	if err := c.DeleteVolume(ctx, "v", false); err != nil {
		t.Error(err)
	}
	if err := c.DeleteVolume(ctx, "v", false); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("second delete: %v, want not found", err)
	}
}

func TestSnapshotsDisksCluster(t *testing.T) {
	_, h := start(t, newFake(), true)
	c, ctx := connect(t, h, testToken), t.Context()
	if _, err := c.CreateVolume(ctx, api.VolumeCreate{Name: "v", Size: 1 << 20, BlockSize: 4096}); err != nil {
		t.Fatal(err)
	}
	if s, err := c.CreateSnapshot(ctx, "main", "before"); err != nil || s.Name != "before" {
		t.Errorf("snapshot %+v, %v", s, err)
	}
	if got, err := c.Snapshots(ctx, "main"); err != nil || len(got) != 1 {
		t.Errorf("snapshots %v, %v", got, err)
	}
	if s, err := c.Snapshot(ctx, "main", "before"); err != nil || len(s.Volumes) != 1 {
		t.Errorf("snapshot %+v, %v", s, err)
	}
	if _, err := c.Snapshot(ctx, "main", "never"); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("unknown point: %v, want not found", err)
	}
	if err := c.DeleteSnapshot(ctx, "main", "before"); err != nil {
		t.Error(err)
	}
	d, err := c.AddDisk(ctx, api.DiskAdd{Volume: "v", Kind: "raw", Place: "/d.img"})
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	rep, err := c.VerifyDisk(ctx, d.ID, func(api.Progress) { seen++ })
	if err != nil || !rep.Equal {
		t.Errorf("verify disk: %+v, %v", rep, err)
	}
	if got, err := c.Disks(ctx); err != nil || len(got) != 1 {
		t.Errorf("disks %v, %v", got, err)
	}
	if err := c.DetachDisk(ctx, d.ID); err != nil {
		t.Error(err)
	}
	if cl, err := c.RemoveNode(ctx, "n2"); err != nil || len(cl.Nodes) != 1 {
		t.Errorf("remove node: %+v, %v", cl, err)
	}
	if cl, err := c.Cluster(ctx); err != nil || cl.Leader != "n1" {
		t.Errorf("cluster: %+v, %v", cl, err)
	}
	if got, err := c.Sessions(ctx); err != nil || len(got) != 1 {
		t.Errorf("sessions: %v, %v", got, err)
	}
	if r, err := c.Verify(ctx, "v", nil); err != nil || !r.Equal {
		t.Errorf("verify: %+v, %v", r, err)
	}
}

func TestPanicInLongCallEndsOnlyTheCall(t *testing.T) {
	_, h := start(t, newFake(), true)
	c := connect(t, h, testToken)
	if _, err := c.Verify(t.Context(), "broken", nil); err == nil || !strings.Contains(err.Error(), "failed") {
		t.Errorf("verify: %v, want an error", err)
	}
	if r, err := c.Verify(t.Context(), "v", nil); err != nil || !r.Equal {
		t.Errorf("the next call: %+v, %v", r, err)
	}
}

func TestWait(t *testing.T) {
	f := newFake()
	_, h := start(t, f, true)
	c, ctx := connect(t, h, testToken), t.Context()
	if _, err := c.CreateVolume(ctx, api.VolumeCreate{Name: "v", Size: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	var got []api.Progress
	r, err := c.Wait(ctx, "v", time.Minute, func(p api.Progress) { got = append(got, p) })
	if err != nil || !r.Committed || r.Point.End != 7 {
		t.Errorf("wait: %+v, %v", r, err)
	}
	f.block = make(chan struct{})
	if _, err := c.Wait(ctx, "v", 10*time.Millisecond, nil); !errors.Is(err, api.ErrTimeout) {
		t.Errorf("wait with limit: %v, want timeout", err)
	}
	if _, err := c.Wait(ctx, "none", 0, nil); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("wait for an unknown volume: %v, want not found", err)
	}
}

func TestHealth(t *testing.T) {
	f := newFake()
	_, h := start(t, f, false)
	c := connect(t, h, "")
	if _, err := c.Health(t.Context()); err != nil {
		t.Errorf("healthy: %v", err)
	}
	f.mu.Lock()
	f.health = api.HealthStarting
	f.mu.Unlock()
	if v, err := c.Health(t.Context()); err == nil || v.State != api.HealthStarting {
		t.Errorf("starting: %+v, %v", v, err)
	}
}

func TestWhoMayDoWhat(t *testing.T) {
	for _, tc := range []struct {
		name         string
		open         bool
		method, path string
		host, auth   string
		headers      map[string]string
		want         int
	}{
		{"open read", true, "GET", "/api/v1/status", "", "", nil, 200},
		{"closed read", false, "GET", "/api/v1/status", "", "", nil, 401},
		{"closed page", false, "GET", "/", "", "", nil, 401},
		{"closed metrics", false, "GET", "/metrics", "", "", nil, 401},
		{"closed read with token", false, "GET", "/api/v1/status", "", "Bearer " + testToken, nil, 200},
		{"page with password", false, "GET", "/", "", "Basic d2Vpcjp3ZWlyX1RFU1RUT0tFTg==", nil, 200},
		{"change without token", true, "DELETE", "/api/v1/volumes/v", "", "", nil, 401},
		{"change with wrong token", true, "DELETE", "/api/v1/volumes/v", "", "Bearer x", nil, 401},
		{"change with token", true, "DELETE", "/api/v1/volumes/v", "", "Bearer " + testToken, nil, 404},
		{"rebound name", true, "GET", "/api/v1/status", "evil.example", "", nil, 400},
		{"localhost", true, "GET", "/api/v1/status", "localhost:8480", "", nil, 200},
		{"IPv6", true, "GET", "/api/v1/status", "[::1]:8480", "", nil, 200},
		{"foreign origin", true, "DELETE", "/api/v1/volumes/v", "", "Bearer " + testToken,
			map[string]string{"Origin": "http://evil.example"}, 401},
		{"unknown path", true, "GET", "/api/v1/nothing", "", "", nil, 404},
		{"unknown method", true, "PUT", "/api/v1/status", "", "Bearer " + testToken, nil, 405},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, _ := start(t, newFake(), tc.open)
			r := httptest.NewRequest(tc.method, "http://127.0.0.1:8480"+tc.path, nil)
			if tc.host != "" {
				r.Host = tc.host
			}
			r.Header.Set("Authorization", tc.auth)
			for k, v := range tc.headers {
				r.Header.Set(k, v)
			}
			w := httptest.NewRecorder()
			s.Handler().ServeHTTP(w, r)
			if w.Code != tc.want {
				t.Errorf("%d, want %d: %s", w.Code, tc.want, w.Body)
			}
			if w.Code >= 400 && w.Header().Get("Content-Type") != api.ProblemMediaType {
				t.Errorf("content type %q, want problem details", w.Header().Get("Content-Type"))
			}
		})
	}
}

func TestBadBodies(t *testing.T) {
	s, _ := start(t, newFake(), true)
	for _, body := range []string{
		"", "{", "[]", `{"name":"v","size":"big"}`, `{"name":"v","size":1,"unknown":1}`, `{"name":"v","size":1}{}`,
		`{"name":"` + strings.Repeat("x", bodyBytesMax) + `"}`,
	} {
		r := httptest.NewRequest("POST", "http://127.0.0.1/api/v1/volumes", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+testToken)
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		if w.Code != http.StatusBadRequest {
			t.Errorf("body %.40q: %d, want 400", body, w.Code)
		}
	}
	for _, q := range []string{"/api/v1/volumes/v/explain?off=-1", "/api/v1/volumes/v/explain?len=x"} {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest("GET", "http://127.0.0.1"+q, nil))
		if w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d, want 400", q, w.Code)
		}
	}
}

func TestMetrics(t *testing.T) {
	f := newFake()
	_, h := start(t, f, true)
	c := connect(t, h, testToken)
	if _, err := c.CreateVolume(t.Context(), api.VolumeCreate{Name: "v", Size: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	body := get(t, h.URL+"/metrics")
	for _, want := range []string{
		`weir_host_written_bytes_total{volume="v"} 4096`,
		`weir_wire_bytes_total{direction="sent",group="main"} 4096`,
		`weir_chunks_total{classification="SmallData",volume="v"} 3`,
		`weir_chunk_bytes_total{classification="LargeData",encoding="raw",volume="v"} 100`,
		`weir_point_committed{group="main"} 7`,
		`weir_lag_seconds{group="main"} 1.5`,
		`weir_log_used_bytes{group="main"} 0`,
		`weir_store_packs{kind="store"} 2`,
		`weir_store_written_bytes_total{why="compaction"} 30`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
}

func TestPage(t *testing.T) {
	f := newFake()
	s, h := start(t, f, true)
	body := get(t, h.URL+"/")
	if !strings.Contains(body, "weir volume create") || !strings.Contains(body, "256.0 : 1") {
		t.Errorf("page of an empty system lacks the next step or the ratio: %s", body)
	}
	f.volumes["x"] = api.Volume{Name: "<script>", ID: "1", Chunks: []api.ChunkCount{{Class: "SmallData", Bytes: 10}}}
	s.status.mu.at = time.Time{}
	body = get(t, h.URL+"/")
	if strings.Contains(body, "<script>") || !strings.Contains(body, "&lt;script&gt;") {
		t.Error("a volume's name is not escaped")
	}
	for _, asset := range []string{"/assets/style.css", "/assets/live.js"} {
		if get(t, h.URL+asset) == "" {
			t.Errorf("%s is empty", asset)
		}
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d, %v: %s", url, resp.StatusCode, err, b)
	}
	return string(b)
}
