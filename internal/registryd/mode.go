package registryd

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// The modes of the registry, a context or a subject.
const (
	readWrite        = "READWRITE"
	readOnly         = "READONLY"
	readOnlyOverride = "READONLY_OVERRIDE" // of all: no subject's own mode counts
	importing        = "IMPORT"            // schemas come with their ids, unchecked
	forwarding       = "FORWARD"           // to another registry; refused
)

// modeOf is the mode that applies to s.
func (st *state) modeOf(s subject) string {
	for _, all := range []subject{{globalContext, ""}, {defaultContext, ""}} {
		if st.modes[all] == readOnlyOverride {
			return readOnlyOverride
		}
	}
	for _, scope := range s.scopes() {
		if m, ok := st.modes[scope]; ok {
			return m
		}
	}
	return readWrite
}

func (st *state) readOnly(s subject) bool {
	m := st.modeOf(s)
	return m == readOnly || m == readOnlyOverride
}

func getMode(st *state, q *request) outcome {
	s := q.scope()
	if err := s.checkScope(); err != nil {
		return fail(err)
	}
	own, ok := st.modes[s]
	switch {
	case q.isAll() || q.flag("defaultToGlobal"):
		return outcome{body: modeValue{st.modeOf(s)}}
	case !ok:
		return fail(failf(codeNoSubjectMode, "Subject '%s' does not have subject-level mode configured", s))
	}
	return outcome{body: modeValue{own}}
}

func putMode(st *state, q *request) outcome {
	s := q.scope()
	if err := s.checkScope(); err != nil {
		return fail(err)
	}
	var v modeValue
	if err := parseBody(q.body, &v); err != nil {
		return fail(err)
	}
	switch v.Mode = strings.ToUpper(v.Mode); v.Mode {
	case readWrite, readOnly, readOnlyOverride, importing:
	case forwarding:
		return fail(failf(codeNotPermitted, "Mode FORWARD is not supported: this registry has none that it could forward to"))
	default:
		return fail(failf(codeInvalidMode, "Invalid mode. Valid values are READWRITE, READONLY, READONLY_OVERRIDE and IMPORT"))
	}
	if len(st.modes) >= maxScopes {
		return fail(failf(codeTooLarge, "The registry has the mode of %d subjects, which is its limit.", maxScopes))
	}
	var records []Record
	if v.Mode == importing && st.modeOf(s) != importing && !q.flag("force") {
		for _, ss := range st.subjects {
			if s.covers(ss.subject) && ss.latest() != nil {
				return fail(failf(codeNotPermitted, "Cannot import since found existing subjects"))
			}
		}
		// What was softly deleted would be in the way of the versions and ids that come.
		records = append(records, subjectRecord(keyClearSubject, s, clearSubjectValue{s.String()}))
	}
	return outcome{body: v, records: append(records, scopedRecord(keyMode, s, v))}
}

// covers says whether the mode of s, which may be a context's or everybody's, applies to o.
func (s subject) covers(o subject) bool { return slices.Contains(o.scopes(), s) }

func deleteMode(st *state, q *request) outcome {
	s := q.scope()
	if err := s.checkScope(); err != nil {
		return fail(err)
	}
	old, ok := st.modes[s]
	if !ok && !q.isAll() {
		return fail(errSubjectNotFound(s.String()))
	}
	o := outcome{body: modeValue{st.modeOf(s)}}
	if ok {
		o = outcome{body: modeValue{old}, records: []Record{scopedRecord(keyMode, s, nil)}}
	}
	if q.flag("recursive") && s.name == "" {
		for _, below := range slices.SortedFunc(maps.Keys(st.modes), compareSubjects) {
			if below != s && below.name != "" && s.covers(below) {
				o.records = append(o.records, scopedRecord(keyMode, below, nil))
			}
		}
	}
	return o
}

func compareSubjects(a, b subject) int { return cmp.Compare(a.String(), b.String()) }
