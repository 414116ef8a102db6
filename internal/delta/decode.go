package delta

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// maxLine bounds a line of a commit. Spark's own lines reach a few hundred kilobytes (a metaData of thousands of columns).
const maxLine = 16 << 20

// A visitor receives the actions of a commit, in its order. What it does not want is checked and skipped.
type visitor struct {
	// file is called for every add and remove, before anything else is known of it, unless add or remove is set.
	file   func(dataChange bool)
	add    func(*Add) error
	remove func(*Remove) error
	// other is called with a CommitInfo, Protocol, MetaData, Txn or DomainMetadata.
	other func(Action) error
	// sidecar is called with the sidecars of a V2 checkpoint.
	sidecar func(sidecar) error
}

// A sidecar is a part of a V2 checkpoint: a Parquet file of adds and removes.
type sidecar struct {
	Path        string `json:"path"`
	SizeInBytes int64  `json:"sizeInBytes"`
}

// readLines hands the actions of a commit or of a JSON checkpoint to v. Errors name the line.
func readLines(r io.Reader, v *visitor) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	n := 0
	for lines.Scan() {
		n++
		if err := readLine(lines.Bytes(), v); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("line %d is longer than %d bytes", n+1, maxLine)
	} else if err != nil {
		return err
	}
	if n == 0 {
		return errors.New("it is empty: a write that a crash tore")
	}
	return nil
}

// readLine hands the action of a line to v; v keeps nothing of b.
func readLine(b []byte, v *visitor) error {
	s := &scanner{b: b}
	if s.next() == 0 && s.i == len(b) {
		return nil
	}
	err := s.object(func(kind []byte) error {
		if s.null() {
			return nil
		}
		if err := readAction(string(kind), s, v); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.end()
}

func readAction(kind string, s *scanner, v *visitor) error {
	switch kind {
	case "add":
		if v.add == nil {
			return skipFile(s, v.file)
		}
		a, err := decodeAdd(s)
		if err != nil {
			return err
		}
		return v.add(a)
	case "remove":
		if v.remove == nil {
			return skipFile(s, v.file)
		}
		r, err := decodeRemove(s)
		if err != nil {
			return err
		}
		return v.remove(r)
	case "commitInfo":
		return visit(s, v, decodeCommitInfo)
	case "metaData":
		return visit(s, v, decodeMetaData)
	case "protocol":
		return visit(s, v, decodeJSON[Protocol])
	case "txn":
		return visit(s, v, decodeJSON[Txn])
	case "domainMetadata":
		return visit(s, v, decodeJSON[DomainMetadata])
	case "sidecar":
		if v.sidecar == nil {
			return s.skip(0)
		}
		c, err := decodeJSON[sidecar](s)
		if err != nil {
			return err
		}
		return v.sidecar(*c)
	default:
		return s.skip(0)
	}
}

func visit[A any, P interface {
	*A
	Action
}](s *scanner, v *visitor, decode func(*scanner) (*A, error)) error {
	if v.other == nil {
		return s.skip(0)
	}
	a, err := decode(s)
	if err != nil {
		return err
	}
	return v.other(P(a))
}

func decodeJSON[A any](s *scanner) (*A, error) {
	raw, err := s.raw()
	if err != nil {
		return nil, err
	}
	a := new(A)
	return a, json.Unmarshal(raw, a)
}

// skipFile takes an add or remove of which only one field is of interest.
func skipFile(s *scanner, file func(dataChange bool)) error {
	change := false
	err := s.object(func(key []byte) (err error) {
		if string(key) != "dataChange" {
			return s.skip(0)
		}
		change, err = s.bool()
		return err
	})
	if err == nil && file != nil {
		file(change)
	}
	return err
}

func decodeAdd(s *scanner) (*Add, error) {
	a := &Add{}
	err := s.object(func(key []byte) (err error) {
		switch string(key) {
		case "path":
			a.Path, err = s.str()
		case "partitionValues":
			a.PartitionValues, err = s.values()
		case "size":
			a.Size, err = s.int()
		case "modificationTime":
			a.ModificationTime, err = s.int()
		case "dataChange":
			a.DataChange, err = s.bool()
		case "stats":
			a.Stats, err = s.str()
		case "tags":
			a.Tags, err = s.values()
		case "deletionVector":
			a.DeletionVector, err = s.vector()
		case "baseRowId":
			a.BaseRowID, err = s.optionalInt()
		case "defaultRowCommitVersion":
			a.DefaultRowCommitVersion, err = s.optionalInt()
		case "clusteringProvider":
			a.ClusteringProvider, err = s.str()
		default:
			err = s.skip(0)
		}
		return err
	})
	if err == nil && a.Path == "" {
		err = errors.New("it has no path")
	}
	return a, err
}

func decodeRemove(s *scanner) (*Remove, error) {
	r := &Remove{}
	err := s.object(func(key []byte) (err error) {
		switch string(key) {
		case "path":
			r.Path, err = s.str()
		case "deletionTimestamp":
			r.DeletionTimestamp, err = s.int()
		case "dataChange":
			r.DataChange, err = s.bool()
		case "extendedFileMetadata":
			r.ExtendedFileMetadata, err = s.bool()
		case "partitionValues":
			r.PartitionValues, err = s.values()
		case "size":
			r.Size, err = s.int()
		case "stats":
			r.Stats, err = s.str()
		case "deletionVector":
			r.DeletionVector, err = s.vector()
		case "baseRowId":
			r.BaseRowID, err = s.optionalInt()
		case "defaultRowCommitVersion":
			r.DefaultRowCommitVersion, err = s.optionalInt()
		default:
			err = s.skip(0)
		}
		return err
	})
	if err == nil && r.Path == "" {
		err = errors.New("it has no path")
	}
	return r, err
}

func (s *scanner) optionalInt() (*int64, error) {
	if s.null() {
		return nil, nil
	}
	n, err := s.int()
	return &n, err
}

func (s *scanner) vector() (*DeletionVector, error) {
	if s.null() {
		return nil, nil
	}
	return decodeJSON[DeletionVector](s)
}

// values takes an object of strings or nulls, or null. {} is nil: most tables have no partitions, and no file has tags.
func (s *scanner) values() (Values, error) {
	if s.null() {
		return nil, nil
	}
	var v Values
	err := s.object(func(key []byte) error {
		if v == nil {
			v = Values{}
		}
		if s.null() {
			v[string(key)] = nil
			return nil
		}
		if s.next() != '"' { // a number or a truth value by a careless writer: its text
			raw, err := s.raw()
			text := string(raw)
			v[string(key)] = &text
			return err
		}
		text, err := s.str()
		v[string(key)] = &text
		return err
	})
	return v, err
}

func decodeMetaData(s *scanner) (*MetaData, error) {
	m := &MetaData{}
	err := s.object(func(key []byte) error {
		raw, err := s.raw()
		if err != nil {
			return err
		}
		var to any
		switch string(key) {
		case "id":
			to = &m.ID
		case "name":
			to = &m.Name
		case "description":
			to = &m.Description
		case "format":
			to = &m.Format
		case "schemaString":
			to = &m.SchemaString
		case "partitionColumns":
			to = &m.PartitionColumns
		case "createdTime":
			to = &m.CreatedTime
		case "configuration":
			to = &m.Configuration
		default:
			m.Extra = append(m.Extra, Member{string(key), slices.Clone(raw)})
			return nil
		}
		if err := json.Unmarshal(raw, to); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		return nil
	})
	return m, err
}
