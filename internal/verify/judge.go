package verify

import (
	"fmt"
	"maps"
	"slices"
)

// judge makes findings of what was read.
func (s *scanner) judge(compared bool) {
	for _, tp := range slices.SortedFunc(maps.Keys(s.groups), compareTP) {
		g := s.groups[tp]
		if g.early > 0 {
			s.notes = append(s.notes, fmt.Sprintf("%s: %d rows from before version %d have offsets that were landed since: duplicates, or rows of "+
				"a topic that was made again", tp, g.early, s.audit.From))
		}
		if g.mixed > 0 {
			s.judgeMixed(g)
		}
		for _, c := range slices.Backward(g.sets) {
			s.judgeRows(c)
			if g.mixed == 0 && s.judgeCounts(c) {
				continue
			}
			if compared && c.absent > c.Rejected && !s.removed {
				s.find(c, Missing, c.absAt, c.absent-c.Rejected,
					"the topic serves %d records that the table lacks, and %d were rejected; the first is offset %d", c.absent, c.Rejected, c.absAt)
			}
			if c.asked > 0 {
				c.Holes = c.asked - c.served
			}
		}
	}
}

// find adds a finding of a set's rows.
func (s *scanner) find(c *set, kind Kind, offset, n int64, format string, args ...any) {
	what := c.tp().String()
	if len(s.groups[c.tp()].sets) > 1 && c.TopicID != "" {
		what += " of topic id " + c.TopicID
	}
	s.findings = append(s.findings, Finding{Kind: kind, Version: -1, Query: c.query, Topic: c.Topic, Partition: c.Partition.Partition,
		Offset: offset, N: n, Text: what + ": " + fmt.Sprintf(format, args...)})
}

// judgeRows judges what is wrong whoever wrote the file.
func (s *scanner) judgeRows(c *set) {
	if c.double > 0 {
		s.find(c, Duplicate, c.first, c.double, "%d rows have an offset that another row has, the first is %d", c.double, c.first)
	}
	if c.outside > 0 {
		s.find(c, Count, c.outAt, c.outside, "%d rows of silt's files lie in no range of the log, the first is offset %d", c.outside, c.outAt)
	}
}

// judgeCounts holds the rows against the log's count, and says whether they are too few.
func (s *scanner) judgeCounts(c *set) (missing bool) {
	have := c.offsets.n
	if have > c.Rows {
		s.find(c, Count, -1, have-c.Rows, "the log says %d rows, the files have %d", c.Rows, have)
	}
	if have < c.Rows && !s.removed {
		missing = true
		first := int64(-1)
		for _, g := range c.Segments {
			if first = c.offsets.firstMissing(g.Start, g.End); first >= 0 {
				break
			}
		}
		s.find(c, Missing, first, c.Rows-have, "the log says %d rows, the files have %d; the first offset without a row is %d",
			c.Rows, have, first)
	}
	c.Scanned, c.Holes = have, c.Offsets()-have-gapped(c.Gaps)
	return missing
}

// judgeMixed holds all rows of one partition's name against the log's counts, since some of them may be of any of its topics. Where one is
// missing and another is there twice, nobody can tell.
func (s *scanner) judgeMixed(g *group) {
	newest := g.sets[0]
	of := "incarnations"
	if slices.ContainsFunc(g.sets, func(c *set) bool { return c.query != newest.query }) {
		of = "queries and incarnations"
	}
	s.notes = append(s.notes, fmt.Sprintf("%s: offsets of %d %s are mixed in files that are not silt's (%d rows): duplicates between them "+
		"cannot be told", newest.tp(), len(g.sets), of, g.mixed))
	var rows, have int64
	for _, c := range g.sets {
		rows, have = rows+c.Rows, have+c.offsets.n
	}
	at := Finding{Version: -1, Topic: newest.Topic, Partition: newest.Partition.Partition, Offset: -1}
	switch {
	case have > rows && s.alone:
		at.Kind, at.N = Count, have-rows
	case have < rows && !s.removed:
		at.Kind, at.N = Missing, rows-have
	default:
		return
	}
	at.Text = fmt.Sprintf("%s: the log says %d rows of %d %s, the files have %d", newest.tp(), rows, len(g.sets), of, have)
	s.findings = append(s.findings, at)
}
