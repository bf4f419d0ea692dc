package client

import (
	"context"
	"net/http"

	"github.com/weirstor/weir/admin/api"
)

func migrationPath(group string) string { return root + "/groups/" + segment(group) + "/migration" }

// Migration returns the group's latest migration.
func (c *Client) Migration(ctx context.Context, group string) (api.Migration, error) {
	var m api.Migration
	err := c.call(ctx, http.MethodGet, migrationPath(group), nil, &m)
	return m, err
}

// StartMigration begins to move the group to its disks.
func (c *Client) StartMigration(ctx context.Context, group string) (api.Migration, error) {
	var m api.Migration
	err := c.call(ctx, http.MethodPost, migrationPath(group), nil, &m)
	return m, err
}

// Cutover takes the migration through its steps. report may be nil.
func (c *Client) Cutover(ctx context.Context, group string, report func(api.Progress)) (api.Migration, error) {
	var m api.Migration
	err := c.long(ctx, migrationPath(group)+"/cutover", report, &m)
	return m, err
}

// AbortMigration ends a migration before its point of no return.
func (c *Client) AbortMigration(ctx context.Context, group string) (api.Migration, error) {
	var m api.Migration
	err := c.call(ctx, http.MethodDelete, migrationPath(group), nil, &m)
	return m, err
}
