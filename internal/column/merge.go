package column

import "fmt"

// A Change is one difference that Merge made to the current schema.
type Change struct {
	Path string // dotted path of the field; element, key and value stand for the parts of arrays and maps
	From *Type  // nil: the field is new
	To   Type
}

// String describes the change for a diff: "+ parsedValue.campaign string" or "~ a int -> bigint".
func (c Change) String() string {
	if c.From == nil {
		return "+ " + c.Path + " " + c.To.String()
	}
	return "~ " + c.Path + " " + c.From.String() + " -> " + c.To.String()
}

// A MergeError says which field of two schemas cannot be merged, in Delta's words.
type MergeError struct {
	Path          string
	Current, Data Type
	// Duplicate is set where the data has two fields whose names differ only in case.
	Duplicate string
	// Void is set where the data has a new array or map of a type without values, which nobody can write.
	Void bool
}

func (e *MergeError) Error() string {
	if e.Duplicate != "" {
		return fmt.Sprintf("field %s: the names %s are equal ignoring case", e.Path, e.Duplicate)
	}
	if e.Void {
		return fmt.Sprintf("field %s: %s cannot be written, since its items never have a value", e.Path, e.Data)
	}
	if e.Current.Kind == Decimal && e.Data.Kind == Decimal {
		return fmt.Sprintf("field %s: failed to merge decimal types with incompatible precision or scale: %s and %s", e.Path, e.Current, e.Data)
	}
	return fmt.Sprintf("field %s: failed to merge incompatible data types %s and %s", e.Path, e.Current, e.Data)
}

// Merge returns the current schema with what the data's schema adds, and the changes, by Delta's rules for mergeSchema (Delta's
// SchemaMergingUtils): fields are matched ignoring case, the current spelling, order, nullability and metadata stay, unknown fields are
// appended at the end of their struct as nullable, structs in arrays and maps are merged too; byte, short and integer become the wider;
// void becomes the other type. Fields that the data lacks stay. Everything else is a *MergeError. Merge is pure: neither argument changes.
func Merge(current, data Schema) (Schema, []Change, error) {
	m := merger{}
	fields, err := m.fields("", current.Fields, data.Fields)
	if err != nil {
		return Schema{}, nil, err
	}
	return Schema{fields}, m.changes, nil
}

type merger struct{ changes []Change }

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func (m *merger) fields(path string, current, data []Field) ([]Field, error) {
	if err := distinct(path, data); err != nil {
		return nil, err
	}
	index := make(map[string]int, len(current))
	out := make([]Field, len(current), len(current)+len(data))
	for i, c := range current {
		out[i] = c
		if _, ok := index[fold(c.Name)]; !ok { // of two names equal ignoring case the first counts
			index[fold(c.Name)] = i
		}
	}
	for _, d := range data {
		i, ok := index[fold(d.Name)]
		if !ok {
			t, err := m.fresh(join(path, d.Name), d.Type)
			if err != nil {
				return nil, err
			}
			out = append(out, Field{Name: d.Name, Type: t, Nullable: true, Metadata: d.Metadata})
			m.changes = append(m.changes, Change{Path: join(path, d.Name), To: t})
			continue
		}
		t, err := m.typ(join(path, out[i].Name), out[i].Type, d.Type)
		if err != nil {
			return nil, err
		}
		out[i].Type = t
	}
	return out, nil
}

// distinct refuses two names of a struct that are equal ignoring case.
func distinct(path string, fields []Field) error {
	seen := make(map[string]string, len(fields))
	for _, f := range fields {
		if other, ok := seen[fold(f.Name)]; ok {
			return &MergeError{Path: join(path, f.Name), Duplicate: other + ", " + f.Name}
		}
		seen[fold(f.Name)] = f.Name
	}
	return nil
}

// fresh returns the type of a field that is new: nullable throughout. Names in it are as distinct as others (Delta's
// DELTA_DUPLICATE_COLUMNS_FOUND), and arrays and maps have items that can be written (DELTA_COMPLEX_TYPE_COLUMN_CONTAINS_NULL_TYPE).
func (m *merger) fresh(path string, t Type) (Type, error) {
	if err := freshType(path, t); err != nil {
		return Type{}, err
	}
	return t.asNullable(), nil
}

func freshType(path string, t Type) error {
	switch t.Kind {
	case Struct:
		if err := distinct(path, t.Fields); err != nil {
			return err
		}
		for _, f := range t.Fields {
			if err := freshType(join(path, f.Name), f.Type); err != nil {
				return err
			}
		}
	case Array, Map:
		if t.Element.Kind == Void {
			return &MergeError{Path: path, Data: t, Void: true}
		}
		if t.Kind == Map {
			if err := freshType(join(path, "key"), *t.Key); err != nil {
				return err
			}
			return freshType(join(path, "value"), *t.Element)
		}
		return freshType(join(path, "element"), *t.Element)
	}
	return nil
}

func (m *merger) typ(path string, c, d Type) (Type, error) {
	switch {
	case c.Kind == Struct && d.Kind == Struct:
		f, err := m.fields(path, c.Fields, d.Fields)
		if err != nil {
			return Type{}, err
		}
		c.Fields = f
		return c, nil
	case c.Kind == Array && d.Kind == Array:
		e, err := m.typ(join(path, "element"), *c.Element, *d.Element)
		if err != nil {
			return Type{}, err
		}
		c.Element = &e
		return c, nil
	case c.Kind == Map && d.Kind == Map:
		k, err := m.typ(join(path, "key"), *c.Key, *d.Key)
		if err != nil {
			return Type{}, err
		}
		v, err := m.typ(join(path, "value"), *c.Element, *d.Element)
		if err != nil {
			return Type{}, err
		}
		c.Key, c.Element = &k, &v
		return c, nil
	case d.Kind == Void:
		return c, nil
	case c.Kind == Void:
		t, err := m.fresh(path, d)
		if err != nil {
			return Type{}, err
		}
		m.changes = append(m.changes, Change{Path: path, From: &c, To: t})
		return t, nil
	case c.intWidth() > 0 && d.intWidth() > 0:
		if d.intWidth() > c.intWidth() {
			m.changes = append(m.changes, Change{Path: path, From: &c, To: d})
			return d, nil
		}
		return c, nil
	case c.Equal(d):
		return c, nil
	}
	return Type{}, &MergeError{Path: path, Current: c, Data: d}
}

// intWidth orders the kinds that share Parquet's INT32, which Delta merges to the wider; 0 for others.
func (t Type) intWidth() int {
	switch t.Kind {
	case Byte:
		return 1
	case Short:
		return 2
	case Integer:
		return 4
	}
	return 0
}

// asNullable makes every nested field and item nullable, as Delta does with every schema it writes.
func (t Type) asNullable() Type {
	switch t.Kind {
	case Struct:
		fields := make([]Field, len(t.Fields))
		for i, f := range t.Fields {
			f.Type, f.Nullable = f.Type.asNullable(), true
			fields[i] = f
		}
		t.Fields = fields
	case Array, Map:
		e := t.Element.asNullable()
		t.Element, t.ElementNulls = &e, true
		if t.Kind == Map {
			k := t.Key.asNullable()
			t.Key = &k
		}
	}
	return t
}
