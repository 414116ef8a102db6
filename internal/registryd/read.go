package registryd

import (
	"cmp"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
)

func getRoot(*state, *request) outcome { return outcome{body: struct{}{}} }

func getTypes(*state, *request) outcome { return outcome{body: []string{avroType}} }

func getContexts(st *state, q *request) outcome { return page(q, st.contextNames()) }

// matcher says which subjects a list is about: those with the prefix, which may begin with ":*:" for any context. Without one all are.
func (q *request) matcher() func(subject) bool {
	prefix := q.query.Get("subjectPrefix")
	if q.context != "" {
		prefix = subject{q.context, ""}.of(prefix).String()
	} else if !q.query.Has("subjectPrefix") {
		prefix = ":*:"
	}
	if name, ok := strings.CutPrefix(prefix, ":*:"); ok {
		return func(s subject) bool { return strings.HasPrefix(s.name, name) }
	}
	return func(s subject) bool {
		return strings.HasPrefix(s.String(), prefix) && (q.context == "" || s.context == q.context)
	}
}

// matching yields the subjects of a list by their names.
func (st *state) matching(q *request) []*subjectState {
	match := q.matcher()
	var out []*subjectState
	for _, name := range slices.Sorted(maps.Keys(st.subjects)) {
		if ss := st.subjects[name]; match(ss.subject) {
			out = append(out, ss)
		}
	}
	return out
}

func listSubjects(st *state, q *request) outcome {
	filter := q.filter()
	var names []string
	for _, ss := range st.matching(q) {
		if filter.takes(ss.latest() == nil) {
			names = append(names, ss.subject.String())
		}
	}
	return page(q, names)
}

func listSchemas(st *state, q *request) outcome {
	filter := q.filter()
	var out []schemaAnswer
	for _, ss := range st.matching(q) {
		var last *version
		for _, v := range ss.versions {
			if !filter.takes(v.deleted) {
				continue
			}
			if last = v; !q.flag("latestOnly") {
				out = append(out, v.answer(q.newer))
			}
		}
		if q.flag("latestOnly") && last != nil {
			out = append(out, last.answer(q.newer))
		}
	}
	return page(q, out)
}

func listVersions(st *state, q *request) outcome {
	filter, negative := q.filter(), q.flag("deletedAsNegative")
	if negative {
		filter = deletedFilter{live: true, deleted: true}
	}
	var numbers []int32
	s := q.subject()
	for _, s := range st.anywhere(s) {
		ss := st.subject(s)
		if ss == nil {
			continue
		}
		for _, v := range ss.versions {
			switch {
			case !filter.takes(v.deleted):
			case v.deleted && negative:
				numbers = append(numbers, -v.number)
			default:
				numbers = append(numbers, v.number)
			}
		}
		if len(numbers) > 0 {
			return page(q, numbers)
		}
	}
	return fail(errSubjectNotFound(s.String()))
}

func getVersion(st *state, q *request) outcome {
	v, err := st.findVersion(q, q.flag("deleted"))
	if err != nil {
		return fail(err)
	}
	a := v.answer(q.newer)
	a.Schema, err = st.format(v, q)
	return outcome{body: a, err: err}
}

func getVersionText(st *state, q *request) outcome {
	v, err := st.findVersion(q, q.flag("deleted"))
	if err != nil {
		return fail(err)
	}
	formatted, err := st.format(v, q)
	return outcome{body: text(formatted), err: err}
}

// format is the text as the query wants it: "resolved" has the referenced types in it. Formats of other schema types mean nothing here.
func (st *state) format(v *version, q *request) (string, *apiError) {
	if q.query.Get("format") != "resolved" || v.content.typ != avroType || len(v.content.references) == 0 {
		return v.content.text, nil
	}
	parsed, err := st.stored(v)
	if err != nil {
		return "", failf(500, "version %d of subject %s: %s", v.number, v.subject, err)
	}
	return parsed.Expanded(), nil
}

func getReferrers(st *state, q *request) outcome {
	v, err := st.findVersion(q, true)
	if err != nil {
		return fail(err)
	}
	return page(q, st.referrers(v.subject)[v.number])
}

// getByMetadata answers GET /subjects/{subject}/metadata: the newest version with the properties key=value of the query.
func getByMetadata(st *state, q *request) outcome {
	s := q.subject()
	if !st.has(s, q.flag("deleted")) {
		return fail(errSubjectNotFound(s.String()))
	}
	keys, values := q.query["key"], q.query["value"]
	if len(keys) != len(values) {
		return fail(failf(422, "%d keys and %d values", len(keys), len(values)))
	}
	for _, v := range slices.Backward(st.subject(s).versions) {
		if v.deleted && !q.flag("deleted") || v.content.metadata == nil {
			continue
		}
		all := true
		for i, k := range keys {
			value, ok := v.content.metadata.Properties[k]
			all = all && ok && value == values[i]
		}
		if all {
			return outcome{body: v.answer(q.newer)}
		}
	}
	return fail(failf(codeSchemaNotFound, "Schema not found"))
}

// byID finds an id. Ids are of contexts: that of the query's subject if it is qualified; else of the default one, but where the subject
// has a version with this id in another.
func (st *state) byID(q *request) (*content, *apiError) {
	id, fault := idNumber(q.path["id"])
	if fault != nil {
		return nil, fault
	}
	s := q.qualify(q.query.Get("subject"))
	if s.name != "" {
		for _, s := range st.anywhere(s) {
			if c := st.contexts[s.context].has(id); c != nil && c.usedBy(s) != nil {
				return c, nil
			}
		}
	}
	if c := st.contexts[s.context].has(id); c != nil {
		return c, nil
	}
	return nil, errIDNotFound(id)
}

func (c *contextState) has(id int32) *content {
	if c == nil {
		return nil
	}
	return c.byID[id]
}

func (c *content) usedBy(s subject) *version {
	for _, v := range c.uses {
		if v.subject == s {
			return v
		}
	}
	return nil
}

func getID(st *state, q *request) outcome {
	c, err := st.byID(q)
	if err != nil {
		return fail(err)
	}
	a := c.answer(q.newer)
	if name := q.query.Get("subject"); name != "" {
		for _, s := range st.anywhere(q.qualify(name)) {
			if v := c.usedBy(s); v != nil {
				a.Subject, a.Version = s.String(), v.number
				break
			}
		}
	}
	if q.flag("fetchMaxId") {
		a.MaxID = st.contexts[c.uses[0].subject.context].maxID
	}
	a.Schema, err = st.format(c.uses[0], q)
	return outcome{body: a, err: err}
}

func getIDText(st *state, q *request) outcome {
	c, err := st.byID(q)
	if err != nil {
		return fail(err)
	}
	formatted, err := st.format(c.uses[0], q)
	return outcome{body: text(formatted), err: err}
}

// usesOf are the versions with the id of the path, by subject and number.
func (st *state) usesOf(q *request) ([]*version, *apiError) {
	c, err := st.byID(q)
	if err != nil {
		return nil, err
	}
	name := q.query.Get("subject")
	uses := slices.DeleteFunc(slices.Clone(c.uses), func(v *version) bool {
		return v.deleted && !q.flag("deleted") || name != "" && q.qualify(name).name != "" && v.subject.name != q.qualify(name).name
	})
	slices.SortFunc(uses, func(a, b *version) int {
		return cmp.Or(compareSubjects(a.subject, b.subject), cmp.Compare(a.number, b.number))
	})
	return uses, nil
}

func getIDSubjects(st *state, q *request) outcome {
	uses, err := st.usesOf(q)
	if err != nil {
		return fail(err)
	}
	var names []string
	for _, v := range uses {
		names = append(names, v.subject.String())
	}
	return page(q, slices.Compact(names))
}

type subjectVersion struct {
	Subject string `json:"subject"`
	Version int32  `json:"version"`
}

func getIDVersions(st *state, q *request) outcome {
	uses, err := st.usesOf(q)
	if err != nil {
		return fail(err)
	}
	var out []subjectVersion
	for _, v := range uses {
		out = append(out, subjectVersion{v.subject.String(), v.number})
	}
	return page(q, out)
}

// byGUID yields the contents of a guid, the default context's first.
func (st *state) byGUID(q *request) ([]*content, *apiError) {
	id := q.path["guid"]
	raw, err := hex.DecodeString(strings.ReplaceAll(id, "-", ""))
	if err == nil && len(raw) == len(guid{}) {
		var out []*content
		for _, name := range st.contextNames() {
			if c := st.contexts[name]; c != nil && c.byGUID[guid(raw)] != nil {
				out = append(out, c.byGUID[guid(raw)])
			}
		}
		if len(out) > 0 {
			return out, nil
		}
	}
	return nil, failf(codeSchemaNotFound, "Schema %.100s not found", id)
}

func getGUID(st *state, q *request) outcome {
	found, err := st.byGUID(q)
	if err != nil {
		return fail(err)
	}
	a := found[0].answer(true) // a client that asks by guid knows the newer fields
	a.Schema, err = st.format(found[0].uses[0], q)
	return outcome{body: a, err: err}
}

type contextID struct {
	Context string `json:"context"`
	ID      int32  `json:"id"`
}

func getGUIDIDs(st *state, q *request) outcome {
	found, err := st.byGUID(q)
	if err != nil {
		return fail(err)
	}
	var out []contextID
	for _, c := range found {
		out = append(out, contextID{c.uses[0].subject.context, c.id})
	}
	return outcome{body: out}
}

// getAssociations answers Confluent's serializers, which ask once for each topic whether its subject's name is another than the usual.
func getAssociations(_ *state, q *request) outcome {
	return fail(failf(codeNoAssociation, "Association for '%.300s' not found.", q.path["resource"]))
}
