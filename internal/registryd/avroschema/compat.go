package avroschema

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Difference is a reason why a reader cannot read what a writer wrote: one Incompatibility of Avro Java's SchemaCompatibility.
type Difference struct {
	Type    string // NAME_MISMATCH, TYPE_MISMATCH, ...
	Path    string // a JSON pointer into the reader's schema
	Message string
}

// Describe words the difference as Confluent's registry does (client, avro/Difference.java); reader and writer are "new" and "old", or
// the other way round.
func (d Difference) Describe(reader, writer string) string {
	var text string
	switch d.Type {
	case fixedSizeMismatch:
		text = fmt.Sprintf("The size of FIXED type field at path '%s' in the %s schema does not match with the %s schema", d.Path, reader, writer)
	case typeMismatch:
		text = fmt.Sprintf("The type (path '%s') of a field in the %s schema does not match with the %s schema", d.Path, reader, writer)
	case nameMismatch:
		text = fmt.Sprintf("The name of the schema has changed (path '%s')", d.Path)
	case missingEnumSymbols:
		text = fmt.Sprintf("The %s schema is missing enum symbols '%s' at path '%s' in the %s schema", reader, d.Message, d.Path, writer)
	case missingUnionBranch:
		text = fmt.Sprintf("The %s schema is missing a type inside a union field at path '%s' in the %s schema", reader, d.Path, writer)
	case readerFieldMissingDefault:
		text = fmt.Sprintf("The field '%s' at path '%s' in the %s schema has no default value and is missing in the %s schema",
			d.Message, d.Path, reader, writer)
	}
	return fmt.Sprintf("{errorType:'%s', description:'%s', additionalInfo:'%s'}", d.Type, text, d.Message)
}

const (
	nameMismatch              = "NAME_MISMATCH"
	fixedSizeMismatch         = "FIXED_SIZE_MISMATCH"
	missingEnumSymbols        = "MISSING_ENUM_SYMBOLS"
	readerFieldMissingDefault = "READER_FIELD_MISSING_DEFAULT_VALUE"
	typeMismatch              = "TYPE_MISMATCH"
	missingUnionBranch        = "MISSING_UNION_BRANCH"
)

// Limits of one comparison.
const (
	maxDifferences = 1000
	maxPairs       = 500_000 // pairs of types, of which the unions of two schemas can make as many as the product of their branches
	maxNesting     = 1000    // types within types, by way of names
)

// errTooComplex says that a comparison was given up.
var errTooComplex = fmt.Errorf("the schemas have more than %d pairs of types to compare, or nest deeper than %d", maxPairs, maxNesting)

// Compare returns what keeps reader from reading what writer wrote: none if it can. It has the rules of Avro Java 1.12's
// SchemaCompatibility: names are compared without their namespaces, logical types not at all. Of many differences it returns the first
// thousand. The error says that no verdict was reached; it stands for an incompatibility.
func Compare(reader, writer *Schema) ([]Difference, error) {
	c := comparison{known: map[pair]*verdict{}}
	v := c.at(reader.root, writer.root, nil)
	if c.err != nil {
		return nil, c.err
	}
	return v.differences, nil
}

type pair struct{ r, w *typ }

type verdict struct {
	done        bool // false while the pair is being compared: recursion, which is compatible until something else is not
	bad         bool
	differences []Difference
}

func (v *verdict) add(d ...Difference) {
	v.bad = v.bad || len(d) > 0
	v.differences = append(v.differences, d[:min(len(d), maxDifferences-len(v.differences))]...)
}

type comparison struct {
	known map[pair]*verdict
	depth int
	err   error
}

// A path is a place in the reader's schema. It is a list from its end, of which those of nested types share the rest.
type path struct {
	parent *path
	token  string
}

func (p *path) push(tokens ...string) *path {
	for _, t := range tokens {
		p = &path{p, t}
	}
	return p
}

// String is the JSON pointer of the path (RFC 6901); "/" is the root's, as in Avro Java.
func (p *path) String() string {
	var tokens []string
	for ; p != nil; p = p.parent {
		tokens = append(tokens, strings.NewReplacer("~", "~0", "/", "~1").Replace(p.token))
	}
	slices.Reverse(tokens)
	return "/" + strings.Join(tokens, "/")
}

// at compares a pair that stands at a path; a pair that was met before has the verdict, and the paths, that it had then.
func (c *comparison) at(r, w *typ, at *path) *verdict {
	p := pair{r, w}
	if v := c.known[p]; v != nil {
		if !v.done {
			return &verdict{done: true}
		}
		return v
	}
	v := &verdict{}
	if len(c.known) >= maxPairs || c.depth >= maxNesting {
		c.err = errTooComplex
	}
	if c.err != nil {
		return v
	}
	c.known[p] = v
	c.depth++
	c.compare(v, r, w, at)
	c.depth--
	v.done = true
	return v
}

func (c *comparison) compare(v *verdict, r, w *typ, at *path) {
	switch {
	case r.kind == kUnion && w.kind == kUnion:
		for i, b := range w.branches {
			if !c.reads(r, b) {
				v.add(lacking(b, at.push(strconv.Itoa(i))))
			}
		}
	case w.kind == kUnion:
		for i, b := range w.branches {
			v.add(c.at(r, b, at.push(strconv.Itoa(i))).differences...)
		}
	case r.kind == kUnion:
		if !slices.ContainsFunc(r.branches, func(b *typ) bool { return c.reads(b, w) }) {
			v.add(lacking(w, at))
		}
	case r.kind == w.kind:
		c.sameKind(v, r, w, at)
	case !promotes(w.kind, r.kind):
		v.add(Difference{typeMismatch, at.String(),
			fmt.Sprintf("reader type: %s not compatible with writer type: %s", upper(r), upper(w))})
	}
}

// reads says whether r reads w, when nobody asks why not: types of other kinds and names are told apart at once.
func (c *comparison) reads(r, w *typ) bool {
	if r.kind != kUnion && w.kind != kUnion && r.kind != w.kind {
		return promotes(w.kind, r.kind)
	}
	if r.kind.named() && r.kind == w.kind && !sameName(r, w) {
		return false
	}
	return !c.at(r, w, nil).bad
}

func lacking(w *typ, at *path) Difference {
	return Difference{missingUnionBranch, at.String(), "reader union lacking writer type: " + upper(w)}
}

// promotes is Avro's table of schema resolution for primitive types.
func promotes(from, to kind) bool {
	switch to {
	case kLong:
		return from == kInt
	case kFloat:
		return from == kInt || from == kLong
	case kDouble:
		return from == kInt || from == kLong || from == kFloat
	case kBytes:
		return from == kString
	case kString:
		return from == kBytes
	}
	return false
}

func (c *comparison) sameKind(v *verdict, r, w *typ, at *path) {
	switch r.kind {
	case kArray:
		v.add(c.at(r.elem, w.elem, at.push("items")).differences...)
		return
	case kMap:
		v.add(c.at(r.elem, w.elem, at.push("values")).differences...)
		return
	}
	if !r.kind.named() {
		return
	}
	if !sameName(r, w) {
		v.add(Difference{nameMismatch, at.push("name").String(), "expected: " + w.name.full()})
	}
	switch r.kind {
	case kFixed:
		if r.size != w.size {
			v.add(Difference{fixedSizeMismatch, at.push("size").String(), fmt.Sprintf("expected: %d, found: %d", w.size, r.size)})
		}
	case kEnum:
		if missing := missingSymbols(r, w); len(missing) > 0 && r.enumDefault == nil {
			v.add(Difference{missingEnumSymbols, at.push("symbols").String(), "[" + strings.Join(missing, ", ") + "]"})
		}
	case kRecord:
		c.records(v, r, w, at)
	}
}

func missingSymbols(r, w *typ) []string {
	has := make(map[string]bool, len(r.symbols))
	for _, s := range r.symbols {
		has[s] = true
	}
	missing := slices.DeleteFunc(slices.Clone(w.symbols), func(s string) bool { return has[s] })
	slices.Sort(missing)
	return missing
}

func (c *comparison) records(v *verdict, r, w *typ, at *path) {
	for i, f := range r.fields {
		here := at.push("fields", strconv.Itoa(i))
		wf, err := writerField(f, w)
		switch {
		case err != nil:
			c.err = err
			return
		case wf != nil:
			v.add(c.at(f.typ, wf.typ, here.push("type")).differences...)
		case f.def != nil:
		case f.typ.kind == kEnum && f.typ.enumDefault != nil:
			// Avro Java compares the field's enum with the writer's record here, so this is a TYPE_MISMATCH.
			v.add(c.at(f.typ, w, here.push("type")).differences...)
		default:
			v.add(Difference{readerFieldMissingDefault, here.String(), f.name})
		}
	}
}

// writerField is the writer's field that f reads, by its name or one of its aliases.
func writerField(f *field, w *typ) (*field, error) {
	found := w.byName[f.name]
	for _, a := range f.aliases {
		switch also := w.byName[a]; {
		case also == nil:
		case found != nil:
			return nil, failf("Reader record field %s matches multiple fields in writer record schema %s", f.name, w.name.full())
		default:
			found = also
		}
	}
	return found, nil
}

func sameName(r, w *typ) bool {
	return r.name.short == w.name.short || slices.Contains(r.aliases, w.name)
}

func upper(t *typ) string { return strings.ToUpper(string(t.kind)) }
