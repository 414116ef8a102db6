package registryd

// deleteVersion answers DELETE /subjects/{subject}/versions/{version}: softly, or with permanent=true one that was softly deleted for good.
func deleteVersion(st *state, q *request) outcome {
	s := q.subject()
	number, fault := versionNumber(q.path["version"])
	if fault != nil {
		return fail(fault)
	}
	if !st.has(s, true) {
		return fail(errSubjectNotFound(s.String()))
	}
	ss := st.subject(s)
	v := ss.pick(number, true)
	permanent := q.flag("permanent")
	switch {
	case v == nil:
		return fail(errVersionNotFound(number))
	case st.readOnly(s):
		return fail(errReadOnly(s))
	case permanent && !v.deleted:
		return fail(failf(codeVersionNotSoftDeleted, "Subject '%s' Version %d was not deleted first before being permanently deleted", s, v.number))
	case !permanent && v.deleted:
		return fail(failf(codeVersionSoftDeleted, "Subject '%s' Version %d was soft deleted.Set permanent=true to delete permanently", s, v.number))
	}
	if len(st.referrers(s)[v.number]) > 0 {
		return fail(errReferenced(v))
	}
	if permanent {
		records := st.keepID([]*version{v})
		return outcome{body: v.number, records: append(records, encode(schemaKey(s, v.number), nil))}
	}
	records := []Record{schemaRecord(s, v.number, v.content.id, &v.content.schema, true)}
	if len(ss.live()) == 1 {
		records = append(records, st.dropScope(s)...)
	}
	return outcome{body: v.number, records: records}
}

func errReferenced(v *version) *apiError {
	return failf(codeReferenceExists, "One or more references exist to the schema {magic=1,keytype=SCHEMA,subject=%s,version=%d}.",
		v.subject, v.number)
}

// dropScope deletes the config and the mode of a subject that has no live versions any more.
func (st *state) dropScope(s subject) []Record {
	var records []Record
	if _, ok := st.modes[s]; ok {
		records = append(records, scopedRecord(keyMode, s, nil))
	}
	if _, ok := st.configs[s]; ok {
		records = append(records, scopedRecord(keyConfig, s, nil))
	}
	return records
}

// keepID makes sure that an id is never given out again, when the record that a later start would know it from is about to go: Kafka
// forgets deleted records, and data written with the schema may be around for longer.
func (st *state) keepID(gone []*version) []Record {
	ctx := st.contexts[gone[0].subject.context]
	for _, v := range gone {
		if v.content.id == ctx.maxID {
			return []Record{contextRecord(v.subject.context, ctx.maxID)}
		}
	}
	return nil
}

// deleteSubject answers DELETE /subjects/{subject}.
func deleteSubject(st *state, q *request) outcome {
	s := q.subject()
	ss := st.subject(s)
	permanent := q.flag("permanent")
	switch {
	case ss == nil:
		return fail(errSubjectNotFound(s.String()))
	case st.readOnly(s):
		return fail(errReadOnly(s))
	case permanent && ss.latest() != nil:
		return fail(failf(codeSubjectNotSoftDeleted, "Subject '%s' was not deleted first before being permanently deleted", s))
	case !permanent && ss.latest() == nil:
		return fail(failf(codeSubjectSoftDeleted, "Subject '%s' was soft deleted.Set permanent=true to delete permanently", s))
	}
	gone := ss.versions
	if !permanent {
		gone = ss.live()
	}
	numbers, referrers := make([]int32, len(gone)), st.referrers(s)
	for i, v := range gone {
		if len(referrers[v.number]) > 0 {
			return fail(errReferenced(v))
		}
		numbers[i] = v.number
	}
	if !permanent {
		last := numbers[len(numbers)-1]
		records := []Record{subjectRecord(keyDeleteSubject, s, deleteSubjectValue{s.String(), last})}
		return outcome{body: numbers, records: append(records, st.dropScope(s)...)}
	}
	records := st.keepID(gone)
	for _, n := range numbers {
		records = append(records, encode(schemaKey(s, n), nil))
	}
	return outcome{body: numbers, records: records}
}

// deleteContext answers DELETE /contexts/{context}. A context is there as long as it holds subjects, so that only what was set for it
// remains to be deleted.
func deleteContext(st *state, q *request) outcome {
	name, fault := parseContext(q.path["context"])
	if fault != nil {
		return fail(fault)
	}
	for _, ss := range st.subjects {
		if ss.subject.context == name {
			return fail(failf(codeContextNotEmpty, "The specified context '%s' is not empty.", name))
		}
	}
	return outcome{body: nothing{}, records: st.dropScope(subject{name, ""})}
}
