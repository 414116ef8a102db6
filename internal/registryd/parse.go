package registryd

import (
	"crypto/md5"
	"fmt"

	"github.com/siltlake/silt/internal/registryd/avroschema"
)

// Limits of references, as the client in package registry has them.
const (
	maxReferences     = 1000
	maxReferenceDepth = 64
	maxReferenceBytes = 8 << 20 // of all texts that one schema refers to
)

// A resolver collects the texts that a schema refers to, each once and after those that it needs itself.
type resolver struct {
	st    *state
	state map[*version]bool // false while its own references are followed
	texts []string
	bytes int
}

// follow walks references depth first. from gives unqualified subjects their context.
func (r *resolver) follow(refs []reference, from subject, depth int) error {
	if depth > maxReferenceDepth && len(refs) > 0 {
		return fmt.Errorf("references go deeper than %d", maxReferenceDepth)
	}
	for _, ref := range refs {
		v := r.st.subject(from.of(ref.Subject)).pick(ref.Version, true)
		if v == nil {
			return avroschema.Error(fmt.Sprintf("No schema reference found for subject \"%s\" and version %d", ref.Subject, ref.Version))
		}
		if done, seen := r.state[v]; done {
			continue
		} else if seen {
			return fmt.Errorf("version %d of subject \"%s\" refers to itself", ref.Version, ref.Subject)
		}
		if v.content.typ != avroType {
			return fmt.Errorf("version %d of subject \"%s\" is of type %s", ref.Version, ref.Subject, v.content.typ)
		}
		r.state[v] = false
		if err := r.follow(v.content.references, v.subject, depth+1); err != nil {
			return err
		}
		r.state[v] = true
		r.texts = append(r.texts, v.content.text)
		if r.bytes += len(v.content.text); len(r.texts) > maxReferences || r.bytes > maxReferenceBytes {
			return fmt.Errorf("more than %d references, or %d bytes of them", maxReferences, maxReferenceBytes)
		}
	}
	return nil
}

func (st *state) referenced(refs []reference, from subject) ([]string, error) {
	if len(refs) == 0 {
		return nil, nil
	}
	r := resolver{st: st, state: map[*version]bool{}}
	err := r.follow(refs, from, 1)
	return r.texts, err
}

// parse parses what a client sent for a subject. It gives the references "latest" their numbers, and the schema its canonical text, of
// the normal form if that is wanted.
func (st *state) parse(q *schemaRequest, s subject, normalize, strict bool) (schema, *avroschema.Schema, *apiError) {
	c := schema{typ: avroType, metadata: q.Metadata, ruleSet: q.RuleSet}
	for _, ref := range q.References {
		if ref.Subject == "" || ref.Version < latest || ref.Version == 0 {
			return c, nil, errInvalidSchema(fmt.Sprintf("reference %q has the subject %q and the version %d", ref.Name, ref.Subject, ref.Version))
		}
		if v := st.subject(s.of(ref.Subject)).pick(ref.Version, true); v != nil {
			ref.Version = v.number
		}
		c.references = append(c.references, ref)
	}
	texts, err := st.referenced(c.references, s)
	if err != nil {
		return c, nil, errInvalidSchema(err.Error())
	}
	parsed, err := avroschema.Parse(*q.Schema, texts, strict)
	if err != nil {
		return c, nil, errInvalidSchema(err.Error())
	}
	if normalize {
		c.references = sortedReferences(c.references)
		if parsed, err = avroschema.Parse(parsed.Normalized(), texts, false); err != nil {
			return c, nil, errInvalidSchema(err.Error())
		}
	}
	c.text = parsed.String()
	if len(c.text) > avroschema.MaxBytes {
		return c, nil, failf(codeTooLarge, "The schema has %d bytes, more than %d.", len(c.text), avroschema.MaxBytes)
	}
	return c, parsed, nil
}

// stored parses a schema of the registry, which was found right when it came.
func (st *state) stored(v *version) (*avroschema.Schema, error) {
	if s := st.parsed.get(v.content); s != nil {
		return s, nil
	}
	texts, err := st.referenced(v.content.references, v.subject)
	if err != nil {
		return nil, err
	}
	s, err := avroschema.Parse(v.content.text, texts, false)
	if err != nil {
		return nil, err
	}
	st.parsed.put(v.content, s)
	return s, nil
}

// resolvedGUID identifies a version's schema to a client that does not see references or the order of properties: it is the hash of its
// resolved text. It is made once, when the schema is first looked for; zero if the schema does not parse.
func (st *state) resolvedGUID(v *version) guid {
	v.content.once.Do(func() {
		if s, err := st.stored(v); err == nil {
			v.content.resolved = md5.Sum([]byte(s.Resolved()))
		}
	})
	return v.content.resolved
}
