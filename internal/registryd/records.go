package registryd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// The journal's records are those of Confluent's registry, key and value, so that one can take over the topic of the other.
//
//	keytype         value; none deletes
//	SCHEMA          a version of a subject with its schema and its id; deleted says softly so
//	CONFIG, MODE    of a subject or context; of everything where the subject is null
//	DELETE_SUBJECT  softly deletes the versions of a subject up to one
//	CLEAR_SUBJECT   forgets a subject, or a context's subjects
//	CONTEXT         that there is a context; maxId is ours: ids up to it are never given out again, though their schemas are gone
//	NOOP            nothing
type recordKey struct {
	KeyType string  `json:"keytype"`
	Tenant  string  `json:"tenant,omitempty"`
	Context string  `json:"context,omitempty"`
	Subject *string `json:"subject,omitempty"`
	Version int32   `json:"version,omitempty"`
	Magic   int     `json:"magic"`
}

type schemaValue struct {
	Subject    string      `json:"subject"`
	Version    int32       `json:"version"`
	ID         int32       `json:"id"`
	SchemaType string      `json:"schemaType,omitempty"` // none: AVRO
	References []reference `json:"references,omitempty"`
	Metadata   *metadata   `json:"metadata,omitempty"`
	RuleSet    *ruleSet    `json:"ruleSet,omitempty"`
	Schema     string      `json:"schema"`
	Deleted    bool        `json:"deleted"`
}

type modeValue struct {
	Mode string `json:"mode"`
}

type deleteSubjectValue struct {
	Subject string `json:"subject"`
	Version int32  `json:"version"`
}

type clearSubjectValue struct {
	Subject string `json:"subject"`
}

type contextValue struct {
	Tenant  string `json:"tenant"`
	Context string `json:"context"`
	MaxID   int32  `json:"maxId,omitempty"`
}

const (
	keySchema        = "SCHEMA"
	keyConfig        = "CONFIG"
	keyMode          = "MODE"
	keyDeleteSubject = "DELETE_SUBJECT"
	keyClearSubject  = "CLEAR_SUBJECT"
	keyContext       = "CONTEXT"
	keyNoop          = "NOOP"

	tenant = "default"
)

// encode makes a record; a nil value deletes what the key names.
func encode(k recordKey, value any) Record {
	r := Record{Key: mustMarshal(k)}
	if value != nil {
		r.Value = mustMarshal(value)
	}
	return r
}

// mustMarshal writes JSON as Jackson does, without Go's escapes for HTML.
//
// REQUIRES: v is of strings, numbers, booleans, and lists, maps and structs of them.
func mustMarshal(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func schemaKey(s subject, number int32) recordKey {
	text := s.String()
	return recordKey{KeyType: keySchema, Subject: &text, Version: number, Magic: 1}
}

func schemaRecord(s subject, number int32, id int32, c *schema, deleted bool) Record {
	v := schemaValue{Subject: s.String(), Version: number, ID: id, References: c.references, Metadata: c.metadata, RuleSet: c.ruleSet,
		Schema: c.text, Deleted: deleted}
	if c.typ != avroType {
		v.SchemaType = c.typ
	}
	return encode(schemaKey(s, number), v)
}

// scopedKey is a key of CONFIG and MODE, whose subject is null for the default context: everything.
func scopedKey(keyType string, s subject) json.RawMessage {
	var text *string
	if t := s.String(); t != "" {
		text = &t
	}
	return mustMarshal(struct {
		KeyType string  `json:"keytype"`
		Subject *string `json:"subject"`
		Magic   int     `json:"magic"`
	}{keyType, text, 0})
}

func scopedRecord(keyType string, s subject, value any) Record {
	r := Record{Key: scopedKey(keyType, s)}
	if value != nil {
		r.Value = mustMarshal(value)
	}
	return r
}

func subjectRecord(keyType string, s subject, value any) Record {
	k := recordKey{KeyType: keyType}
	if text := s.String(); text != "" {
		k.Subject = &text
	}
	return encode(k, value)
}

func contextRecord(name string, maxID int32) Record {
	return encode(recordKey{KeyType: keyContext, Tenant: tenant, Context: name}, contextValue{tenant, name, maxID})
}

// apply changes the state by a record. The error says that the record is none of a registry's; the state is then as before.
func (st *state) apply(r Record) error {
	var k recordKey
	if err := json.Unmarshal(r.Key, &k); err != nil {
		return fmt.Errorf("the key %.100q is no JSON object: %w", r.Key, err)
	}
	var s subject
	if k.Subject != nil {
		s = parseSubject(*k.Subject)
	} else {
		s.context = defaultContext
	}
	var err error
	switch k.KeyType {
	case keySchema:
		err = st.applySchema(s, k.Version, r)
	case keyConfig:
		err = applyScoped(st.configs, s, r)
	case keyMode:
		var v *modeValue
		if err = decodeValue(r, &v); err == nil && v != nil {
			st.modes[s] = v.Mode
		} else if err == nil {
			delete(st.modes, s)
		}
	case keyDeleteSubject:
		var v *deleteSubjectValue
		if err = decodeValue(r, &v); err == nil && v != nil {
			st.deleteSubject(s, v.Version, r.Time)
		}
	case keyClearSubject:
		if r.Value != nil {
			st.clearSubject(s)
		}
	case keyContext:
		var v *contextValue
		if err = decodeValue(r, &v); err == nil && v != nil && v.MaxID > 0 {
			c := st.context(v.Context)
			c.maxID = max(c.maxID, v.MaxID)
		}
	default: // NOOP, and what later versions of Confluent's registry may add
	}
	if err != nil {
		return fmt.Errorf("the value of %s: %w", r.Key, err)
	}
	return nil
}

func decodeValue(r Record, into any) error {
	if r.Value == nil {
		return nil
	}
	return json.Unmarshal(r.Value, into)
}

func applyScoped(m map[subject]config, s subject, r Record) error {
	if r.Value == nil {
		delete(m, s)
		return nil
	}
	var c config
	if err := json.Unmarshal(r.Value, &c); err != nil {
		return err
	}
	m[s] = c
	return nil
}

func (st *state) context(name string) *contextState {
	c := st.contexts[name]
	if c == nil {
		c = &contextState{byID: map[int32]*content{}, byGUID: map[guid]*content{}}
		st.contexts[name] = c
	}
	return c
}

func (st *state) applySchema(s subject, number int32, r Record) error {
	if r.Value == nil {
		st.remove(s, number)
		return nil
	}
	var v schemaValue
	if err := json.Unmarshal(r.Value, &v); err != nil {
		return err
	}
	if number < 1 || v.ID < 0 {
		return fmt.Errorf("version %d with id %d", number, v.ID)
	}
	c := schema{typ: v.SchemaType, text: v.Schema, references: v.References, metadata: v.Metadata, ruleSet: v.RuleSet}
	if c.typ == "" {
		c.typ = avroType
	}
	c.metadata.sort()
	ctx := st.context(s.context)
	kept, g := ctx.byID[v.ID], c.guid()
	if kept != nil && kept.guid != g {
		return fmt.Errorf("id %d: %w", v.ID, errIDTaken)
	}
	st.remove(s, number) // the same version, written again
	if kept = ctx.byID[v.ID]; kept == nil {
		kept = &content{id: v.ID, guid: g, schema: c}
		ctx.byID[v.ID] = kept
		if ctx.byGUID[kept.guid] == nil {
			ctx.byGUID[kept.guid] = kept
		}
		ctx.maxID = max(ctx.maxID, v.ID)
	}
	st.insert(&version{subject: s, number: number, content: kept, deleted: v.Deleted, time: r.Time})
	return nil
}

func (st *state) insert(v *version) {
	name := v.subject.String()
	ss := st.subjects[name]
	if ss == nil {
		ss = &subjectState{subject: v.subject}
		st.subjects[name] = ss
	}
	i := len(ss.versions)
	for i > 0 && ss.versions[i-1].number > v.number {
		i--
	}
	ss.versions = slices.Insert(ss.versions, i, v)
	v.content.uses = append(v.content.uses, v)
	st.versions++
	st.bytes += v.content.size()
}

// remove forgets a version; with the last use of its schema, that too.
func (st *state) remove(s subject, number int32) {
	ss := st.subject(s)
	v := ss.at(number)
	if v == nil {
		return
	}
	ss.versions = slices.DeleteFunc(ss.versions, func(o *version) bool { return o == v })
	if len(ss.versions) == 0 {
		delete(st.subjects, s.String())
	}
	st.versions--
	st.bytes -= v.content.size()
	c := v.content
	c.uses = slices.DeleteFunc(c.uses, func(o *version) bool { return o == v })
	if len(c.uses) == 0 {
		ctx := st.context(s.context)
		delete(ctx.byID, c.id)
		if ctx.byGUID[c.guid] == c {
			delete(ctx.byGUID, c.guid)
		}
	}
}

// replace puts a changed copy of a version in its place.
func (st *state) replace(ss *subjectState, old, changed *version) {
	for _, list := range [][]*version{ss.versions, old.content.uses} {
		list[slices.Index(list, old)] = changed
	}
}

func (st *state) deleteSubject(s subject, upTo int32, time int64) {
	ss := st.subject(s)
	if ss == nil {
		return
	}
	for _, v := range ss.versions {
		if v.number <= upTo && !v.deleted {
			changed := *v
			changed.deleted, changed.time = true, time
			st.replace(ss, v, &changed)
		}
	}
}

func (st *state) clearSubject(s subject) {
	for _, ss := range slices.Collect(maps.Values(st.subjects)) {
		if ss.subject == s || s.name == "" && (s.context == globalContext || s.context == ss.subject.context) {
			for len(ss.versions) > 0 {
				st.remove(ss.subject, ss.versions[len(ss.versions)-1].number)
			}
		}
	}
}
