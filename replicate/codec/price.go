package codec

// price shares the total bytes of a frame, of which column i takes size[i], among the volumes and classes that caused
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
		j.counts(k).WireBytes += uint64(n)
		if best := paid[largest]; p > best || p == best && (k.volume < largest.volume || k.volume == largest.volume && k.class < largest.class) {
			largest = k
		}
	}
	j.counts(largest).WireBytes += uint64(left)
}

// counts are those of a volume number and class.
func (j *job) counts(k share) *ClassCount {
	for v, n := range j.frame.numbers {
		if n == k.volume {
			return &j.summary.Volumes[j.byID[v]].Counts[k.class]
		}
	}
	panic("codec: share of a volume without number")
}
