package avro

import (
	"fmt"
	"strings"

	twmb "github.com/twmb/avro"

	"github.com/siltlake/silt/internal/column"
)

// Parse reads a schema's text. The references are the texts of the schemas that it names types of, each after those that it refers to
// itself. An error is an *InvalidError or an *UnsupportedError.
func Parse(text string, references []string) (*Schema, error) {
	root, err := parseText(text, references)
	if err != nil {
		return nil, err
	}
	m := mapper{defined: map[string]*twmb.SchemaNode{}, nodes: map[string]*node{}}
	m.collect(root)
	u, err := m.use(root, "", "")
	if err != nil {
		return nil, err
	}
	n := u.node
	switch {
	case n.wire == wireNull:
		return nil, &UnsupportedError{"", "null", "a column of nulls alone has no values"}
	case n.levels > maxLevels:
		return nil, &UnsupportedError{"", root.Type,
			fmt.Sprintf("records, arrays and maps are nested %d deep, which takes %d definition levels; silt writes %d",
				n.depth, n.levels, maxLevels)}
	case n.fieldCount > maxFields:
		return nil, &UnsupportedError{"", root.Type, fmt.Sprintf("it has more than %d fields, counting those of each use of a named type",
			maxFields)}
	}
	return &Schema{u}, nil
}

// A mapper turns the library's tree into nodes.
type mapper struct {
	defined map[string]*twmb.SchemaNode // by full name
	nodes   map[string]*node            // nil while the type is being mapped
}

// collect finds the definitions of named types; Root has put those of references into the tree.
func (m *mapper) collect(n *twmb.SchemaNode) {
	if n == nil {
		return
	}
	switch n.Type {
	case "record", "error", "enum", "fixed":
		m.defined[fullName(n)] = n
	}
	for i := range n.Fields {
		m.collect(&n.Fields[i].Type)
	}
	m.collect(n.Items)
	m.collect(n.Values)
	for i := range n.Branches {
		m.collect(&n.Branches[i])
	}
}

func fullName(n *twmb.SchemaNode) string {
	if n.Namespace == "" || strings.Contains(n.Name, ".") {
		return n.Name
	}
	return n.Namespace + "." + n.Name
}

// use maps the type that stands at path; space is the namespace there.
func (m *mapper) use(n *twmb.SchemaNode, space, path string) (use, error) {
	if n.Type != "union" {
		t, err := m.node(n, space, path)
		return use{node: t}, err
	}
	value, null := -1, -1
	var names []string
	for i := range n.Branches {
		if n.Branches[i].Type == "null" {
			null = i
			continue
		}
		value = i
		names = append(names, n.Branches[i].Type)
	}
	if len(names) != 1 {
		why := "silt reads unions of null and one type"
		if len(names) == 0 {
			why = "it has no type but null"
		}
		return use{}, &UnsupportedError{path, "union [" + strings.Join(names, ", ") + "]", why}
	}
	t, err := m.node(&n.Branches[value], space, path)
	u := use{node: t, union: true, yes: byte(2 * value), no: byte(2 * value)}
	if null >= 0 {
		u.no = byte(2 * null)
	}
	return u, err
}

// node maps a type that is no union.
func (m *mapper) node(n *twmb.SchemaNode, space, path string) (*node, error) {
	unsupported := func(typ, why string) error { return &UnsupportedError{path, typ, why} }
	if name, ok := n.Props["spark.sql.catalyst.type"]; ok && (n.Type == "int" || n.Type == "long") {
		return nil, unsupported(n.Type, fmt.Sprintf("the property spark.sql.catalyst.type makes it %v", name))
	}
	logical := n.LogicalType
	switch n.Type {
	case "null":
		return &node{wire: wireNull, typ: column.Primitive(column.Void)}, nil
	case "boolean":
		return leaf(wireBoolean, column.Boolean), nil
	case "int":
		switch logical {
		case "date":
			return leaf(wireInt, column.Date), nil
		case "time-millis":
			return nil, unsupported("int", logicalWhy(logical))
		}
		return leaf(wireInt, column.Integer), nil
	case "long":
		switch logical {
		case "timestamp-millis":
			return leaf(wireMillis, column.Timestamp), nil
		case "timestamp-micros":
			return leaf(wireLong, column.Timestamp), nil
		case "time-micros", "timestamp-nanos", "local-timestamp-millis", "local-timestamp-micros", "local-timestamp-nanos":
			return nil, unsupported("long", logicalWhy(logical))
		}
		return leaf(wireLong, column.Long), nil
	case "float":
		return leaf(wireFloat, column.Float), nil
	case "double":
		return leaf(wireDouble, column.Double), nil
	case "string": // uuid is a plain string in Spark
		return leaf(wireString, column.String), nil
	case "bytes":
		switch logical {
		case "big-decimal":
			return nil, unsupported("bytes", logicalWhy(logical))
		case "decimal":
			return decimal(n, wireDecimal, unsupported)
		}
		return leaf(wireBytes, column.Binary), nil
	case "array":
		item, err := m.use(n.Items, space, join(path, "element"))
		if err != nil {
			return nil, err
		}
		return list(wireArray, item, "array of null", unsupported)
	case "map":
		item, err := m.use(n.Values, space, join(path, "value"))
		if err != nil {
			return nil, err
		}
		return list(wireMap, item, "map of null", unsupported)
	}
	return m.named(n, space, path)
}

func leaf(w wire, k column.Kind) *node { return &node{wire: w, typ: column.Primitive(k)} }

func logicalWhy(logical string) string {
	return "silt does not read the logical type " + logical
}

func decimal(n *twmb.SchemaNode, w wire, unsupported func(typ, why string) error) (*node, error) {
	if n.Precision > 38 {
		return nil, unsupported(n.Type, fmt.Sprintf("decimal precision %d is above 38", n.Precision))
	}
	return &node{wire: w, typ: column.DecimalOf(n.Precision, n.Scale), size: n.Size}, nil
}

func list(w wire, item use, voids string, unsupported func(typ, why string) error) (*node, error) {
	if item.node.wire == wireNull {
		return nil, unsupported(voids, "items without a value are in no file")
	}
	n := &node{wire: w, item: &item, fieldCount: 1 + item.node.fieldCount, depth: 1 + item.node.depth, levels: 2 + item.node.levels}
	if w == wireMap {
		n.fieldCount++
		n.typ = column.MapOf(item.node.typ)
	} else {
		n.typ = column.ArrayOf(item.node.typ)
	}
	return n, nil
}

// named maps a record, enum or fixed, or a reference to one.
func (m *mapper) named(n *twmb.SchemaNode, space, path string) (*node, error) {
	def := n
	switch n.Type {
	case "record", "error", "enum", "fixed":
	default:
		def = m.defined[n.Type]
		if local := m.defined[space+"."+n.Type]; local != nil && !strings.Contains(n.Type, ".") {
			def = local
		}
		if def == nil {
			return nil, &UnsupportedError{path, n.Type, "silt does not know this type"}
		}
	}
	name := fullName(def)
	if t, ok := m.nodes[name]; ok {
		if t == nil {
			return nil, &UnsupportedError{path, name, "the type contains itself, which columns cannot hold"}
		}
		return t, nil
	}
	m.nodes[name] = nil
	t, err := m.definition(def, path)
	if err != nil {
		return nil, err
	}
	m.nodes[name] = t
	return t, nil
}

func (m *mapper) definition(n *twmb.SchemaNode, path string) (*node, error) {
	unsupported := func(typ, why string) error { return &UnsupportedError{path, typ, why} }
	switch n.Type {
	case "enum":
		return &node{wire: wireEnum, typ: column.Primitive(column.String), symbols: n.Symbols}, nil
	case "fixed":
		switch {
		case n.Size == 0:
			return nil, unsupported("fixed", "silt does not read a fixed of no bytes") // so that every item of a list takes a byte, see blockHead
		case n.Size > maxFixed:
			return nil, unsupported("fixed", fmt.Sprintf("%d bytes are more than a record can have", n.Size))
		case n.LogicalType == "decimal":
			return decimal(n, wireFixedDecimal, unsupported)
		case n.LogicalType == "uuid" && n.Size == 16, n.LogicalType == "duration" && n.Size == 12:
			return nil, unsupported("fixed", logicalWhy(n.LogicalType))
		}
		return &node{wire: wireFixed, typ: column.Primitive(column.Binary), size: n.Size}, nil
	}
	return m.record(n, path)
}

// unwritableNames are the characters that no column name of a table without column mapping may have (Delta's SchemaUtils.checkFieldNames).
// Avro's own rules exclude them; schemas are read laxly, as registries hold them.
const unwritableNames = " ,;{}()\n\t="

func (m *mapper) record(n *twmb.SchemaNode, path string) (*node, error) {
	t := &node{wire: wireRecord, typ: column.StructOf()}
	names, values := map[string]string{}, 0
	for i := range n.Fields {
		f := &n.Fields[i]
		if strings.ContainsAny(f.Name, unwritableNames) {
			return nil, &UnsupportedError{join(path, f.Name), "record",
				fmt.Sprintf("the name %q has a character that Delta refuses without column mapping", f.Name)}
		}
		low := strings.ToLower(f.Name) // as column.Merge compares names
		if other, ok := names[low]; ok {
			return nil, &UnsupportedError{join(path, f.Name), "record", fmt.Sprintf("the names %s and %s are equal ignoring case", other, f.Name)}
		}
		names[low] = f.Name
		u, err := m.use(&f.Type, namespace(n), join(path, f.Name))
		if err != nil {
			return nil, err
		}
		if u.node.wire != wireNull {
			values++
		}
		t.fields = append(t.fields, field{f.Name, u})
		t.typ.Fields = append(t.typ.Fields, column.Nullable(f.Name, u.node.typ))
		t.fieldCount = min(t.fieldCount+1+u.node.fieldCount, maxFields+1)
		t.depth = max(t.depth, u.node.depth)
		t.levels = max(t.levels, u.node.levels)
	}
	t.depth++
	t.levels++
	if values == 0 {
		why := "a record without fields has no columns"
		if len(n.Fields) > 0 {
			why = "a record whose fields are all null has no columns"
		}
		return nil, &UnsupportedError{path, "record " + fullName(n), why}
	}
	return t, nil
}

func namespace(n *twmb.SchemaNode) string {
	if i := strings.LastIndexByte(n.Name, '.'); i >= 0 {
		return n.Name[:i]
	}
	return n.Namespace
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
