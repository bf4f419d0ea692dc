package codec

// price shares the total bytes of a frame, of which column i takes size[i], among the volumes, classes and encodings that caused
// them: a column by how much each put into it, the rest by what each pays for columns.
func (j *job) price(size [numColumns]int, total int) {
	var sums [numColumns]float64
	for _, s := range j.frame.shares {
		for i, n := range s {
			sums[i] += float64(n)
		}
	}
	paid := make(map[share]float64, len(j.frame.shares))
	all := 0.0
	for k, s := range j.frame.shares {
		for i, n := range s {
			if n > 0 {
				paid[k] += float64(n) / sums[i] * float64(size[i])
			}
		}
		all += paid[k]
	}
	if all == 0 {
		return
	}
	j.charge(paid, all, total)
}

// charge adds total bytes to the counts in the proportion of paid; rounding goes to the largest.
func (j *job) charge(paid map[share]float64, all float64, total int) {
	left := total
	var largest share
	for k, p := range paid {
		n := int(p / all * float64(total))
		left -= n
		j.pay(k, uint64(n))
		if best := paid[largest]; p > best || p == best && (k.volume < largest.volume || k.volume == largest.volume &&
			(k.class < largest.class || k.class == largest.class && k.encoding < largest.encoding)) {
			largest = k
		}
	}
	j.pay(largest, uint64(left))
}

// pay adds n bytes to what a share costs.
func (j *job) pay(k share, n uint64) {
	v := j.summaryOf(k.volume)
	v.Counts[k.class].WireBytes += n
	v.Encodings[k.class][k.encoding].Wire += n
}

// summaryOf is that of a volume number.
func (j *job) summaryOf(number int) *VolumeSummary {
	for v, n := range j.frame.numbers {
		if n == number {
			return &j.summary.Volumes[j.byID[v]]
		}
	}
	panic("codec: share of a volume without number")
}
