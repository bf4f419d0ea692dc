package admin

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/admin/client"
)

// TestClonesOverTheWire makes, reads, fills and deletes a clone by the client.
func TestClonesOverTheWire(t *testing.T) {
	c, _ := serveFake(t)
	made, err := c.CreateClone(t.Context(), api.CloneCreate{Group: "main", Point: "p", Name: "a", Writable: true})
	if err != nil || made.Name != "a" || made.ReadOnly {
		t.Fatalf("%+v, %v", made, err)
	}
	if list, err := c.Clones(t.Context()); err != nil || len(list) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	r, err := c.CloneRanges(t.Context(), "a", "v", 0)
	if err != nil || len(r.Items) != 1 || r.Next != 8192 {
		t.Errorf("ranges %+v, %v", r, err)
	}
	body, err := c.CloneContent(t.Context(), "a", "v", 4000, 200)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(body)
	if want := append(bytes.Repeat([]byte{7}, 96), make([]byte, 104)...); err != nil || !bytes.Equal(got, want) {
		t.Errorf("content % x: %v", got, err)
	}
	_ = body.Close()
	if _, err := c.CloneContent(t.Context(), "a", "v", 8000, 200); !errors.Is(err, api.ErrInvalid) {
		t.Errorf("behind the end: %v", err)
	}
	if _, err := c.CloneContent(t.Context(), "b", "v", 0, 0); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("no clone: %v", err)
	}
	filled, err := c.FillClone(t.Context(), "a", nil)
	if err != nil || !filled.Filled {
		t.Errorf("%+v, %v", filled, err)
	}
	if err := c.DeleteClone(t.Context(), "a", false); !errors.Is(err, api.ErrConflict) {
		t.Errorf("attached: %v", err)
	}
	if err := c.DeleteClone(t.Context(), "a", true); err != nil {
		t.Error(err)
	}
}

// TestContentNeedsTheToken although loopback reads what is no content without one.
func TestContentNeedsTheToken(t *testing.T) {
	c, addr := serveFake(t)
	if _, err := c.CreateClone(t.Context(), api.CloneCreate{Name: "a"}); err != nil {
		t.Fatal(err)
	}
	nobody, err := client.New(client.Options{Address: addr})
	if err != nil {
		t.Fatal(err)
	}
	defer nobody.Close()
	if _, err := nobody.Clones(t.Context()); err != nil {
		t.Errorf("list without a token: %v", err)
	}
	if _, err := nobody.CloneContent(t.Context(), "a", "v", 0, 0); !errors.Is(err, api.ErrUnauthorized) {
		t.Errorf("content without a token: %v", err)
	}
}

func TestRetentionOverTheWire(t *testing.T) {
	c, _ := serveFake(t)
	rule := api.Retention{Last: 3, Hourly: 24}
	if p, err := c.SetRetention(t.Context(), "main", api.RetentionSet{Retention: rule, DryRun: true}); err != nil || p.Retention != rule {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err := c.Retention(t.Context(), "main"); err != nil || p.Retention != (api.Retention{}) {
		t.Errorf("a dry run changed the rule: %+v, %v", p, err)
	}
	if _, err := c.SetRetention(t.Context(), "main", api.RetentionSet{Retention: rule}); err != nil {
		t.Error(err)
	}
	if p, err := c.Retention(t.Context(), "main"); err != nil || p.Retention != rule {
		t.Errorf("%+v, %v", p, err)
	}
}

func serveFake(t *testing.T) (c *client.Client, addr string) {
	t.Helper()
	_, h := start(t, newFake(), true)
	c, err := client.New(client.Options{Address: h.URL, Token: testToken})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, h.URL
}

func TestScrubOverTheWire(t *testing.T) {
	c, _ := serveFake(t)
	for rate, sound := range map[int64]bool{0: true, 5: false} {
		r, err := c.Scrub(t.Context(), rate, nil)
		if err != nil || r.Sound != sound || len(r.Nodes) != 1 || r.Nodes[0].Bytes != uint64(rate) {
			t.Errorf("at %d: %+v, %v", rate, r, err)
		}
	}
}
