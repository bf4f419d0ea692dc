package main

import "github.com/weirstor/weir/admin/api"

// showStore says in two lines what a provider node's data folder holds.
func showStore(p *printer, s *api.Store) {
	if s == nil {
		return
	}
	p.row("  store", usize(s.StorePackBytes)+", content "+usize(s.LiveBytes)+" live, "+usize(s.DeadBytes)+" to be freed")
	p.row("  wire packs", usize(s.WirePackBytes))
}
