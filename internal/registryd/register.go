package registryd

import (
	"cmp"
	"crypto/md5"
	"math"
	"reflect"
	"slices"

	"github.com/siltlake/silt/internal/registryd/avroschema"
)

// Limits of the whole registry, which holds everything in memory.
const (
	maxVersions = 100_000
	maxText     = 512 << 20 // bytes of the schemas of all versions
	maxScopes   = 20_000    // subjects with a config or a mode of their own
)

func sortedReferences(refs []reference) []reference {
	refs = slices.SortedStableFunc(slices.Values(refs), func(a, b reference) int {
		return cmp.Or(cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Version, b.Version))
	})
	return slices.Compact(refs)
}

// find is the version of the subject that has the schema: by its content, or else one that differs only in what a client cannot see (the
// order of properties; references filled in). Softly deleted versions count if deleted says so.
func (st *state) find(s subject, c *schema, parsed *avroschema.Schema, deleted bool) *version {
	ss := st.subject(s)
	if ss == nil {
		return nil
	}
	if same := st.context(s.context).byGUID[c.guid()]; same != nil {
		for _, v := range slices.Backward(same.uses) {
			if v.subject == s && (deleted || !v.deleted) {
				return v
			}
		}
	}
	resolved := guid(md5.Sum([]byte(parsed.Resolved())))
	for _, v := range slices.Backward(ss.versions) {
		k := v.content
		if v.deleted && !deleted || k.typ != c.typ || !reflect.DeepEqual(k.metadata, c.metadata) || !reflect.DeepEqual(k.ruleSet, c.ruleSet) ||
			len(c.references) > 0 && !slices.Equal(c.references, k.references) {
			continue
		}
		if st.resolvedGUID(v) == resolved {
			return v
		}
	}
	return nil
}

// inherit fills what the request leaves out with what the newest version has. It says whether there was anything to fill in.
func (q *schemaRequest) inherit(newest *version) bool {
	if newest == nil {
		return false
	}
	filled := false
	if q.empty() {
		q.Schema, q.References, filled = &newest.content.text, newest.content.references, true
	}
	if q.Metadata == nil && newest.content.metadata != nil {
		q.Metadata, filled = newest.content.metadata, true
	}
	if q.RuleSet == nil && newest.content.ruleSet != nil {
		q.RuleSet, filled = newest.content.ruleSet, true
	}
	return filled
}

// lookUp answers POST /subjects/{subject}: is the schema there?
func lookUp(st *state, q *request) outcome {
	s := q.subject()
	if err := s.check(); err != nil {
		return fail(err)
	}
	body, err := parseSchemaRequest(q.body)
	if err != nil {
		return fail(err)
	}
	if body.empty() {
		return fail(errInvalidSchema("Empty schema"))
	}
	deleted, known := q.flag("deleted"), false
	for _, s := range st.anywhere(s) {
		if !st.has(s, deleted) {
			continue
		}
		known = true
		v, err := st.lookUpIn(s, *body, q, deleted)
		if err != nil {
			return fail(err)
		}
		if v != nil {
			return outcome{body: v.answer(q.newer)}
		}
	}
	if !known {
		return fail(errSubjectNotFound(s.String()))
	}
	return fail(failf(codeSchemaNotFound, "Schema not found"))
}

func (st *state) lookUpIn(s subject, body schemaRequest, q *request, deleted bool) (*version, *apiError) {
	normalize := q.flag("normalize") || st.configOf(s).normalizes()
	c, parsed, err := st.parse(&body, s, normalize, false)
	if err != nil {
		return nil, err
	}
	v := st.find(s, &c, parsed, deleted)
	if v == nil && body.inherit(st.subject(s).latest()) {
		if c, parsed, err = st.parse(&body, s, normalize, false); err != nil {
			return nil, err
		}
		v = st.find(s, &c, parsed, deleted)
	}
	return v, nil
}

// register answers POST /subjects/{subject}/versions.
func register(st *state, q *request) outcome {
	s := q.subject()
	if err := s.check(); err != nil {
		return fail(err)
	}
	body, fault := parseSchemaRequest(q.body)
	if fault != nil {
		return fail(fault)
	}
	ss := st.subject(s)
	filled := body.inherit(ss.latest())
	if body.empty() {
		return fail(errInvalidSchema("Empty schema"))
	}
	mode, conf := st.modeOf(s), st.configOf(s)
	c, parsed, fault := st.parse(body, s, q.flag("normalize") || conf.normalizes(), mode != importing)
	if fault != nil {
		return fail(fault)
	}
	id, number := value(body.ID, -1), value(body.Version, 0)
	if v := st.find(s, &c, parsed, false); v != nil && (id < 0 || id == v.content.id) {
		return outcome{body: registered(v, q.newer, filled)}
	}
	if fault := st.mayRegister(s, mode, id); fault != nil {
		return fail(fault)
	}
	if number, fault = ss.nextNumber(number, mode); fault != nil {
		return fail(fault)
	}
	if id, fault = st.pickID(s, &c, id); fault != nil {
		return fail(fault)
	}
	if mode != importing {
		messages, err := st.check(conf, parsed, ss.live())
		if err != nil {
			return fail(errInvalidSchema(err.Error()))
		}
		if len(messages) > 0 {
			return fail(errIncompatible(s, messages))
		}
	}
	if st.versions >= maxVersions || st.bytes+c.size() > maxText {
		return fail(failf(codeTooLarge, "The registry holds %d versions and %d bytes of schemas; its limits are %d and %d.",
			st.versions, st.bytes, maxVersions, maxText))
	}
	v := &version{subject: s, number: number, content: &content{id: id, guid: c.guid(), schema: c}}
	var records []Record
	if st.contexts[s.context] == nil && s.context != defaultContext {
		records = append(records, contextRecord(s.context, 0))
	}
	records = append(records, schemaRecord(s, number, id, &c, false))
	return outcome{body: registered(v, q.newer, filled), records: records}
}

func value(p *int32, missing int32) int32 {
	if p == nil {
		return missing
	}
	return *p
}

// registered is the answer to a registration: for old clients the id alone, unless the registry filled something in.
func registered(v *version, newer, filled bool) schemaAnswer {
	if !newer && !filled {
		return schemaAnswer{ID: v.content.id}
	}
	a := v.answer(newer)
	a.Subject = ""
	return a
}

func (st *state) mayRegister(s subject, mode string, id int32) *apiError {
	switch {
	case st.readOnly(s):
		return errReadOnly(s)
	case id >= 0 && mode != importing:
		return failf(codeNotPermitted, "Subject %s in context %s is not in import mode", s, s.prefix())
	case id < 0 && mode != readWrite:
		return failf(codeNotPermitted, "Subject %s in context %s is not in read-write mode", s, s.prefix())
	}
	return nil
}

// nextNumber is the number of a new version: one more than any ever was, or in an import the one that is wanted.
func (s *subjectState) nextNumber(wanted int32, mode string) (int32, *apiError) {
	next := int32(1)
	if s != nil {
		last := s.versions[len(s.versions)-1].number
		if last == math.MaxInt32 {
			return 0, failf(codeTooLarge, "The subject has a version %d, after which there is none.", last)
		}
		next = last + 1
	}
	switch {
	case wanted <= 0:
		return next, nil
	case mode != importing && wanted != next:
		return 0, failf(codeInvalidSchema, "Version is not one more than previous version")
	case s.at(wanted) != nil:
		return 0, failf(codeNotPermitted, "Overwrite of version %d of subject %s is not permitted.", wanted, s.subject)
	}
	return wanted, nil
}

// pickID is the id of a schema in its context: the one that it has already, the one that an import gives it, or the next.
func (st *state) pickID(s subject, c *schema, wanted int32) (int32, *apiError) {
	ctx := st.contexts[s.context]
	if ctx == nil {
		return max(wanted, 1), nil
	}
	same := ctx.byGUID[c.guid()]
	switch {
	case same != nil && wanted >= 0 && wanted != same.id:
		return 0, failf(codeIDMismatch, "Schema already registered with id %d instead of input id %d", same.id, wanted)
	case same != nil:
		return same.id, nil
	case wanted >= 0 && ctx.byID[wanted] != nil:
		return 0, failf(codeNotPermitted, "Overwrite new schema with id %d in context %s is not permitted.", wanted, s.prefix())
	case wanted >= 0:
		return wanted, nil
	case ctx.maxID == math.MaxInt32:
		return 0, failf(codeTooLarge, "The context has given out the id %d, after which there is none.", ctx.maxID)
	}
	return ctx.maxID + 1, nil
}
