package admin

import (
	"context"
	"net/http"

	"github.com/weirstor/weir/admin/api"
)

// Migrations moves a group's servers to its disks.
type Migrations interface {
	// Migration is the group's latest; api.ErrNotFound if there never was one.
	Migration(ctx context.Context, group string) (api.Migration, error)
	// StartMigration checks both sides; api.ErrConflict when one is active.
	StartMigration(ctx context.Context, group string) (api.Migration, error)
	// Cutover takes the migration through its steps. One that was cut off is resumed.
	Cutover(ctx context.Context, group string, report func(api.Progress)) (api.Migration, error)
	// AbortMigration ends a migration before its point of no return; nothing else changes.
	AbortMigration(ctx context.Context, group string) (api.Migration, error)
}

func (s *Server) migrationRoutes() []route {
	call := func(f func(Backend, context.Context, string) (api.Migration, error)) func(context.Context, *request) (any, error) {
		return func(ctx context.Context, r *request) (any, error) { return f(s.backend, ctx, r.segment("group")) }
	}
	const path = "/groups/{group}/migration"
	return []route{
		{Method: http.MethodGet, Path: path, ID: "getMigration", Summary: "The group's latest migration and what a cutover would wait for",
			Response: api.Migration{}, Status: http.StatusOK, serve: call(Backend.Migration)},
		{Method: http.MethodPost, Path: path, ID: "startMigration", Summary: "Check both sides and begin to move the group to its disks",
			Response: api.Migration{}, Status: http.StatusCreated, serve: call(Backend.StartMigration)},
		{Method: http.MethodPost, Path: path + "/cutover", ID: "cutover", Long: true,
			Summary:  "Bring over the last writes, take the group from the source, and leave the disks to the destination",
			Response: api.Migration{}, Status: http.StatusOK,
			serve: func(ctx context.Context, r *request) (any, error) {
				return s.backend.Cutover(ctx, r.segment("group"), r.report)
			}},
		{Method: http.MethodDelete, Path: path, ID: "abortMigration", Summary: "End a migration before its point of no return",
			Response: api.Migration{}, Status: http.StatusOK, serve: call(Backend.AbortMigration)},
	}
}
