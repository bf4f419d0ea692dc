package api

// Volume is one block device that is shown to source hosts.
type Volume struct {
	Name      string       `json:"name"`
	ID        string       `json:"id"`
	Group     string       `json:"group" doc:"name of the consistency group"`
	Size      int64        `json:"size"`
	BlockSize int          `json:"block_size" enum:"512,4096"`
	Host      HostCounters `json:"host"`
	Tags      []TagCount   `json:"tags" doc:"writes by in-path tag"`
	Chunks    []ChunkCount `json:"chunks" doc:"packaged changes by class and encoding"`
	State     string       `json:"state_hash,omitempty" doc:"state hash at the committed point"`
	Attach    Attach       `json:"attach"`
	Image     string       `json:"image,omitempty" doc:"path of the image or device that was adopted and is the volume's base"`
	FirstSync *FirstSync   `json:"first_sync,omitempty" doc:"how far the first sending of an adopted image is; absent when the provider has all of it"`
}

// HostCounters is what source hosts did to a volume since the process started.
type HostCounters struct {
	ReadOps      uint64 `json:"read_ops"`
	ReadBytes    uint64 `json:"read_bytes"`
	WriteOps     uint64 `json:"write_ops"`
	WrittenBytes uint64 `json:"written_bytes"`
	ZeroOps      uint64 `json:"zero_ops" doc:"write zeroes and trim"`
	ZeroedBytes  uint64 `json:"zeroed_bytes"`
	FlushOps     uint64 `json:"flush_ops"`
}

// TagCount counts the writes of one in-path tag.
type TagCount struct {
	Tag   string `json:"tag"`
	Class string `json:"class"`
	Ops   uint64 `json:"ops"`
	Bytes uint64 `json:"bytes"`
}

// ChunkCount counts packaged changes of one class in one encoding.
type ChunkCount struct {
	Class     string `json:"class" enum:"ZeroBlock,MetadataOnly,SmallData,MediumData,LargeData"`
	Encoding  string `json:"encoding"`
	Chunks    uint64 `json:"chunks"`
	Bytes     uint64 `json:"bytes" doc:"bytes of volume content that the chunks stand for"`
	WireBytes uint64 `json:"wire_bytes" doc:"bytes that the chunks take in packs, as far as they can be told apart"`
}

// Attach says how a host reaches a volume.
type Attach struct {
	NBD   string `json:"nbd,omitempty" doc:"NBD URI"`
	ISCSI string `json:"iscsi,omitempty" doc:"iSCSI URI: iscsi://PORTAL/IQN/LUN"`
}

// VolumeCreate asks for a new volume.
type VolumeCreate struct {
	Name      string `json:"name" doc:"1 to 64 characters of a-z, 0-9, dot, dash, underscore; begins with a letter or digit"`
	Size      int64  `json:"size" doc:"bytes, a multiple of block_size; 0 with adopt: that of the image"`
	BlockSize int    `json:"block_size,omitempty" doc:"512 or 4096; 512 when absent"`
	Adopt     string `json:"adopt,omitempty" doc:"absolute path, on the gateway, of a raw image or block device that becomes the volume; size may be left out then"`
}

// VolumeResize asks for a larger volume.
type VolumeResize struct {
	Size int64 `json:"size" doc:"bytes; at least the present size"`
}
