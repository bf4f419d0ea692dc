package api

// FilePlace says where a file of a volume lies.
type FilePlace struct {
	Volume string    `json:"volume"`
	Path   string    `json:"path"`
	Inode  uint64    `json:"inode"`
	Type   string    `json:"type" enum:"file,directory,symlink,other"`
	Size   int64     `json:"size"`
	Runs   []FileRun `json:"runs" doc:"its content, in address order; empty if it lies in the inode"`
}

// FileRun is a piece of a file's content in one place.
type FileRun struct {
	FileOffset int64 `json:"file_offset"`
	Range      Range `json:"range" doc:"of the volume"`
}
