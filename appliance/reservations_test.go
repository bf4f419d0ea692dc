package appliance

import (
	"bytes"
	"testing"

	"github.com/weirstor/weir/admin/api"
	"github.com/weirstor/weir/appliance/config"
	"github.com/weirstor/weir/target/iscsi/initiator"
)

// reserve registers a key, to be kept (APTPL), and reserves write exclusive; SPC-4, section 6.16.
func reserve(t *testing.T, i *initiator.Session) {
	t.Helper()
	param := make([]byte, 24)
	param[15] = 0x42 // SERVICE ACTION RESERVATION KEY
	param[20] = 1    // APTPL
	register := []byte{0: 0x5f, 8: 24, 9: 0}
	if _, err := i.Command(register, param, nil); err != nil {
		t.Fatalf("register: %v", err)
	}
	param = make([]byte, 24)
	param[7] = 0x42 // RESERVATION KEY
	take := []byte{0: 0x5f, 1: 1, 2: 1, 8: 24, 9: 0}
	if _, err := i.Command(take, param, nil); err != nil {
		t.Fatalf("reserve: %v", err)
	}
}

// A reservation that asks for it outlives a restart of the system, and goes with the volume.
func TestReservationsAreKept(t *testing.T) {
	c := testConfig(t)
	c.Volumes = []config.Volume{{Name: "v", Size: 1 << 20, BlockSize: 512}}
	s := start(t, api.RoleAll, c)
	rule(t, s, api.Access{Sharing: true})
	one, err := login(t, s, initiator.Options{Name: hostOne})
	if err != nil {
		t.Fatal(err)
	}
	reserve(t, one)
	stop(t, s)
	s = start(t, api.RoleAll, c)
	defer stop(t, s)
	block := make([]byte, 512)
	for host, want := range map[string]bool{hostOne: true, hostTwo: false} {
		i, err := login(t, s, initiator.Options{Name: host})
		if err != nil {
			t.Fatal(err)
		}
		if err := i.WriteAt(block, 0, false); (err == nil) != want {
			t.Errorf("%s writes: %v, want %v", host, err, want)
		}
	}
	if err := s.DeleteVolume(t.Context(), "v", true); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateVolume(t.Context(), api.VolumeCreate{Name: "v", Size: 1 << 20, BlockSize: 512}); err != nil {
		t.Fatal(err)
	}
	two, err := login(t, s, initiator.Options{Name: hostTwo})
	if err != nil {
		t.Fatal(err)
	}
	if err := two.WriteAt(block, 0, false); err != nil {
		t.Errorf("the reservation of a deleted volume holds for another of its name: %v", err)
	}
}

func TestReservationStore(t *testing.T) {
	r, err := openReservations(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	id := [16]byte{1}
	if b, err := r.Load(id); b != nil || err != nil {
		t.Errorf("nothing was saved: %q, %v", b, err)
	}
	for _, want := range []string{"one", "another", ""} {
		if err := r.Save(id, []byte(want)); err != nil {
			t.Fatal(err)
		}
		if b, err := r.Load(id); err != nil || !bytes.Equal(b, []byte(want)) {
			t.Errorf("%q, %v; want %q", b, err, want)
		}
	}
	for range 2 {
		if err := r.Save(id, nil); err != nil {
			t.Error(err)
		}
	}
	if b, err := r.Load(id); b != nil || err != nil {
		t.Errorf("removed: %q, %v", b, err)
	}
}
