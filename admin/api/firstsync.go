package api

// FirstSync is how far the first sending of a volume's content is.
type FirstSync struct {
	TotalBytes     int64   `json:"total_bytes" doc:"content of the image when it was adopted, holes left out"`
	LeftBytes      int64   `json:"left_bytes"`
	BytesPerSecond float64 `json:"bytes_per_second" doc:"of late; 0 while nothing was measured"`
	SecondsLeft    float64 `json:"seconds_left,omitempty" doc:"at that rate; absent while nothing was measured"`
}
