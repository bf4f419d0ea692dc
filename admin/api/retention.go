package api

// Retention says which unnamed points of a group are kept: the newest ones, and of each of the newest hours, days, weeks
// (from Monday), months and years with points the newest point, by UTC. All 0 keeps everything. Named points, the head, and
// points that a disk shows or that are served stay anyway.
type Retention struct {
	Last    uint32 `json:"keep_last" doc:"at least 1 when another part is not 0"`
	Hourly  uint32 `json:"keep_hourly"`
	Daily   uint32 `json:"keep_daily"`
	Weekly  uint32 `json:"keep_weekly"`
	Monthly uint32 `json:"keep_monthly"`
	Yearly  uint32 `json:"keep_yearly"`
}

// RetentionSet asks for a rule.
type RetentionSet struct {
	Retention Retention `json:"retention"`
	DryRun    bool      `json:"dry_run,omitempty" doc:"change nothing: only tell what the rule would drop"`
}

// RetentionPlan is the rule of a group with what it drops now.
type RetentionPlan struct {
	Group     string     `json:"group"`
	Retention Retention  `json:"retention"`
	Drops     []Snapshot `json:"drops" doc:"points that the rule does not keep, oldest first; they go within seconds once the rule is set"`
}
