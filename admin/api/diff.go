package api

// SnapshotDiff is what happened to a volume between two moments, in terms of files where its file system is known.
type SnapshotDiff struct {
	Volume     string       `json:"volume"`
	From       Point        `json:"from"`
	To         Point        `json:"to"`
	FileSystem string       `json:"file_system,omitempty" doc:"what was recognised on the volume; absent: no files can be named"`
	Changed    int64        `json:"changed_bytes" doc:"of sectors of 512 bytes that differ"`
	Classes    []ClassBytes `json:"classes" doc:"changed bytes by class"`
	Files      []FileChange `json:"files" doc:"those with the most changed bytes first"`
	Omitted    int          `json:"omitted" doc:"files that are not listed"`
	Elsewhere  []RegionSize `json:"elsewhere" doc:"changed bytes that are no content of a file"`
	Complete   bool         `json:"complete" doc:"false: the file system has more files than are looked at, or is damaged"`
}

// FileChange is a file that differs. A file below a directory that was renamed is not listed for that alone.
type FileChange struct {
	Change  string       `json:"change" enum:"created,deleted,renamed,modified,metadata"`
	Path    string       `json:"path"`
	OldPath string       `json:"old_path,omitempty" doc:"if it was renamed"`
	Type    string       `json:"type" enum:"file,directory,symlink,other"`
	Inode   uint64       `json:"inode"`
	Size    int64        `json:"size"`
	OldSize int64        `json:"old_size"`
	Bytes   int64        `json:"changed_bytes" doc:"of sectors that hold its content at the later moment"`
	Classes []ClassBytes `json:"classes,omitempty"`
}

// ClassBytes counts changed bytes of one class.
type ClassBytes struct {
	Class string `json:"class"`
	Bytes int64  `json:"bytes"`
}

// RegionSize counts changed bytes in one kind of region.
type RegionSize struct {
	Region string `json:"region"`
	Bytes  int64  `json:"bytes"`
}
