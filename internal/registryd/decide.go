package registryd

import (
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// A request is a call of the API, taken apart.
type request struct {
	context string // of the path's prefix /contexts/{context}; "" without
	path    map[string]string
	query   url.Values
	body    []byte
	newer   bool // the client takes fields that it does not know
}

// An outcome is what a call comes to: an answer, and for a write the records that make it true. Outcomes are decided on a state without
// changing it.
type outcome struct {
	body    any // nil with an error; a text for the calls that give a bare schema
	records []Record
	err     *apiError
}

// A text is a bare schema; nothing is an answer without a body.
type (
	text    string
	nothing struct{}
)

func fail(err *apiError) outcome { return outcome{err: err} }

// subject is the subject that the path names.
func (q *request) subject() subject { return q.qualify(q.path["subject"]) }

func (q *request) qualify(text string) subject {
	if q.context == "" {
		return parseSubject(text)
	}
	return subject{q.context, ""}.of(text)
}

// scope is the subject, context or all that a call of config or mode is about.
func (q *request) scope() subject {
	if _, ok := q.path["subject"]; ok {
		return q.subject()
	}
	return q.qualify("")
}

// flag reads a boolean of the query. Python writes True and False.
func (q *request) flag(name string) bool { return strings.EqualFold(q.query.Get(name), "true") }

// number reads a number of the query; without one it is missing.
func (q *request) number(name string, missing int) (int, *apiError) {
	text := q.query.Get(name)
	if text == "" {
		return missing, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, failf(404, "HTTP 404 Not Found: %s=%.50q is not a number", name, text) // as JAX-RS answers
	}
	return n, nil
}

// page cuts a list to the query's offset and limit; a limit below one is none.
func page[T any](q *request, list []T) outcome {
	offset, err := q.number("offset", 0)
	if err != nil {
		return fail(err)
	}
	limit, err := q.number("limit", -1)
	if err != nil {
		return fail(err)
	}
	list = list[min(max(offset, 0), len(list)):]
	if limit > 0 {
		list = list[:min(limit, len(list))]
	}
	if list == nil {
		list = []T{}
	}
	return outcome{body: list}
}

// A deletedFilter says which versions of a list are wanted.
type deletedFilter struct{ live, deleted bool }

func (q *request) filter() deletedFilter {
	switch {
	case q.flag("deletedOnly"):
		return deletedFilter{deleted: true}
	case q.flag("deleted"):
		return deletedFilter{live: true, deleted: true}
	}
	return deletedFilter{live: true}
}

func (f deletedFilter) takes(deleted bool) bool {
	if deleted {
		return f.deleted
	}
	return f.live
}

const latest = -1

// versionNumber reads a version as paths have it: a number from 1, "latest" or -1.
func versionNumber(text string) (int32, *apiError) {
	if strings.EqualFold(text, "latest") {
		return latest, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 1 && n != latest {
		return 0, errInvalidVersion(text)
	}
	return int32(n), nil
}

func idNumber(text string) (int32, *apiError) {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return 0, errStatus(404)
	}
	return int32(n), nil
}

// findVersion is the version that the path names. An unqualified subject that the default context does not have is looked for in the others.
func (st *state) findVersion(q *request, deleted bool) (*version, *apiError) {
	number, fault := versionNumber(q.path["version"])
	if fault != nil {
		return nil, fault
	}
	s := q.subject()
	for _, s := range st.anywhere(s) {
		if v := st.subject(s).pick(number, deleted); v != nil {
			return v, nil
		}
	}
	if !st.has(s, deleted) {
		return nil, errSubjectNotFound(s.String())
	}
	return nil, errVersionNotFound(number)
}

// pick returns a version by its number or latest.
func (s *subjectState) pick(number int32, deleted bool) *version {
	if number == latest {
		return s.latest()
	}
	if v := s.at(number); v != nil && (deleted || !v.deleted) {
		return v
	}
	return nil
}

// has says whether a subject has a version.
func (st *state) has(s subject, deleted bool) bool {
	ss := st.subject(s)
	return ss != nil && (deleted || ss.latest() != nil)
}

// referrers are the ids of the schemas whose live versions refer to a subject, by its version, the lowest first.
func (st *state) referrers(s subject) map[int32][]int32 {
	found := map[int32][]int32{}
	for _, ss := range st.subjects {
		for _, v := range ss.versions {
			if v.deleted {
				continue
			}
			for _, r := range v.content.references {
				if ss.subject.of(r.Subject) == s {
					found[r.Version] = append(found[r.Version], v.content.id)
				}
			}
		}
	}
	for n, ids := range found {
		slices.Sort(ids)
		found[n] = slices.Compact(ids)
	}
	return found
}

// errIDTaken says that a record gives an id to a schema that another schema has: two registries write to one topic.
var errIDTaken = errors.New("it belongs to another schema already")
