package kafka

// A density is what the offsets of a partition took on the wire, compressed, as far as they were fetched. A fetch asks for no more bytes
// than the rest of its range is worth by it: a planned end lies anywhere in the log, and what comes from beyond it is thrown away.
//
// It is an estimate, and nothing but the number of round trips depends on it. A range that needs more is asked for again, as any that does
// not fit one fetch, and an answer that brings nothing makes the next one ask for as much as the options allow.
type density struct {
	bytesPerOffset float64
	batchBytes     int // of a large record batch
}

// leastAsk is the least that a fetch asks for: below it a round trip costs more than the bytes.
const leastAsk = 16 << 10

// worth is how many bytes to ask for to get so many offsets, at most most: a quarter more than the mean says, and two batches, because the
// range begins in one and ends in another.
func (d density) worth(offsets int64, most int32) int32 {
	bytes := 1.25*d.bytesPerOffset*float64(offsets) + 2*float64(d.batchBytes)
	return int32(min(max(bytes, leastAsk), float64(most)))
}

// after is the density with a newer one seen: it rises at once, because too small an estimate costs a round trip, and falls by halves.
func (d density) after(seen density) density {
	return density{
		bytesPerOffset: max(seen.bytesPerOffset, (d.bytesPerOffset+seen.bytesPerOffset)/2),
		batchBytes:     max(seen.batchBytes, (d.batchBytes+seen.batchBytes)/2),
	}
}

// ask is how many bytes the next fetch of the partition asks for.
func (p *part) ask() int32 {
	if p.bytesPerOffset == 0 {
		return p.bytes
	}
	return p.worth(p.End-p.pos, p.bytes)
}

// recall gives the partitions what earlier fetches of the source learned of them.
func (f *fetcher) recall() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.parts {
		p.density = f.densities[p.TopicPartition]
	}
}

// learn notes what an answer showed, for this fetch and for later ones.
func (f *fetcher) learn(p *part, seen density) {
	if seen.bytesPerOffset == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	p.density = f.densities[p.TopicPartition].after(seen)
	f.densities[p.TopicPartition] = p.density
}
