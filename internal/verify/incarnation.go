package verify

import "github.com/siltlake/silt/internal/stream"

// A lineage is the topics of one name that a query read, one after the other: its incarnations. A topic that was deleted and made again has
// another id, and its offsets begin anew; only the id tells the two apart.
type lineage struct {
	ids     map[string]int // the incarnation of each id
	n       int            // the incarnation that was new last
	at      int            // the incarnation that is read
	id      string         // as the newest commit recorded it; "" is not known
	version int64          // of that commit
}

// move goes to the topic of the id; back says that it had been replaced by another before. An id that is not known, and one that comes
// after it, change nothing: then the query itself cannot tell, and goes on where it was.
func (l *lineage) move(id string) (back bool) {
	was := l.id
	l.id = id
	n, known := l.ids[id]
	switch {
	case id == "":
	case known:
		back, l.at = n != l.at, n
	case was == "":
		l.ids[id] = l.at
	default:
		l.n++
		l.at, l.ids[id] = l.n, l.n
	}
	return back
}

// incarnation names the rows of one partition whose offsets are unique.
type incarnation struct {
	stream.TopicPartition
	n int
}

func (q *queryState) lineage(topic string) *lineage {
	l := q.topics[topic]
	if l == nil {
		l = &lineage{ids: map[string]int{}, version: -1}
		q.topics[topic] = l
	}
	return l
}

// topicIDs goes with the batch to the topics that its ids name, and judges them: an id that was replaced does not come back, and a topic
// has one in a commit.
func (a *auditor) topicIDs(c Commit, q *queryState) {
	at := Finding{Kind: Disorder, Version: c.Version, Query: q.ID, Offset: -1}
	for _, p := range c.Batch.Partitions {
		at.Topic, at.Partition = p.Topic, p.Partition
		l := q.lineage(p.Topic)
		switch was := l.id; {
		case l.version == c.Version && p.TopicID != was:
			a.find(at, "version %d names two ids of topic %s: %q and %q", c.Version, p.Topic, was, p.TopicID)
		case l.version == c.Version:
		case l.move(p.TopicID):
			a.find(at, "version %d, topic %s: its id is %s again, which %s had replaced", c.Version, p.Topic, p.TopicID, was)
		}
		l.version = c.Version
	}
	for _, p := range c.Batch.Landed {
		at.Topic, at.Partition = p.Topic, p.Partition
		switch l := q.lineage(p.Topic); {
		case p.TopicID == "":
		case l.version < 0:
			l.move(p.TopicID)
		case l.id != "" && l.id != p.TopicID:
			a.find(at, "version %d remembers topic %s by id %s, and what was read last has id %s", c.Version, p.Topic, p.TopicID, l.id)
		}
	}
}

// partition returns what the log says so far of the partition of the topic that the query reads now.
func (q *queryState) partition(p stream.PartitionInfo) *Partition {
	l := q.lineage(p.Topic)
	key := incarnation{stream.TopicPartition{Topic: p.Topic, Partition: p.Partition}, l.at}
	s := q.partitions[key]
	if s == nil {
		s = &Partition{Topic: p.Topic, Partition: p.Partition}
		q.partitions[key] = s
		for n := range l.at {
			if q.partitions[incarnation{key.TopicPartition, n}] != nil {
				s.Segments = []Segment{{p.Start, p.Start, "topic made again"}}
			}
		}
	}
	if l.id != "" {
		s.TopicID = l.id
	}
	return s
}
