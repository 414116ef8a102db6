package config

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
)

// secretsSection declares scopes; it is read before the others, which refer to them. -s cannot change it.
const secretsSection = "secrets"

func newWalker(file string, o Options) *walker {
	return &walker{
		file:     file,
		begin:    problem.Location{File: file, Line: 1, Col: 1},
		resolver: resolver{env: o.Env, readFile: o.ReadFile, readFileIn: o.ReadFileIn, storage: o.Storage, scrubber: o.Secrets},
		sections: map[string]*section{},
		faulty:   map[problem.Location]bool{},
	}
}

// LoadScopes returns the scopes that the file and the user's own declare, as o.Scopes makes them, and resolves nothing else of the file. A
// file named "" is none. The error is all that is wrong with them.
func LoadScopes(file string, o Options) (Scopes, error) {
	o = o.withDefaults()
	root := &node{kind: mapping}
	if file != "" {
		var err error
		if root, _, err = read(file, o); err != nil {
			return nil, err
		}
	}
	w := newWalker(file, o)
	if list := w.declare(root, o); len(list) > 0 {
		return nil, list
	}
	return w.scopes, nil
}

// declare reads the section secrets of the file and that of the user's own, and makes the scopes of both. It returns what is wrong with
// them, which is also reported.
func (w *walker) declare(root *node, o Options) problem.List {
	before := len(w.problems)
	declared := w.secretsOf(root)
	if o.Scopes == nil {
		if len(declared.All()) > 0 {
			w.report(declared.Pos, problem.Unsupported, "%s cannot be declared here", secretsSection).Fix("%s", useReference)
		}
		return slices.Clone(w.problems[before:])
	}
	scopes, problems := o.Scopes(declared, w.user(o))
	for _, p := range problems {
		if !w.faulty[p.Where] {
			w.problems = append(w.problems, p)
		}
	}
	w.scopes = scopes
	return slices.Clone(w.problems[before:])
}

// secretsOf walks the section secrets of a document.
func (w *walker) secretsOf(root *node) option.Values {
	for _, p := range root.pairs {
		if p.key == secretsSection {
			s := w.section(secretsSection)
			s.pos = p.pos
			if w.isMapping(secretsSection, p) {
				w.options(s, secretsSection, "", p.value)
			}
		}
	}
	return w.values(secretsSection)
}

// user reads the user's own file, which has a section secrets and nothing else. What is wrong with it is reported with the pipeline's.
func (w *walker) user(o Options) (none option.Values) {
	if o.UserFile == "" {
		return none
	}
	data, err := o.ReadFile(o.UserFile, MaxFileBytes)
	if errors.Is(err, fs.ErrNotExist) {
		if o.UserFileNamed != "" { // no fault as long as every secret is found: a local store can be beside it
			w.noUserFile = o.UserFileNamed + " names " + o.UserFile + ", which does not exist"
		}
		return none
	}
	if err == nil && len(data) > MaxFileBytes {
		err = errors.New("it is larger than " + option.FormatSize(MaxFileBytes))
	}
	if err != nil {
		w.problems = append(w.problems, unreadable(o.UserFile, err))
		return none
	}
	root, problems, err := parse(o.UserFile, data)
	if err != nil {
		w.problems = append(w.problems, problem.Of(err)...)
		return none
	}
	u := newWalker(o.UserFile, o)
	for _, p := range root.pairs {
		if p.key != secretsSection {
			q := u.report(p.pos, problem.UnknownOption, "unknown key %q; a user's file has %s only", p.key, secretsSection)
			if strings.EqualFold(p.key, "scopes") {
				q.Fix("write secrets: {scopes: ...}")
			} else {
				q.Fix("move it into the pipeline file")
			}
		}
	}
	if root.kind != mapping && !root.bad {
		u.report(root.pos, problem.InvalidValue, "the file is %s; want %s", root.kind, secretsSection)
	}
	values := u.secretsOf(root)
	w.problems = append(append(w.problems, problems...), u.problems...)
	for at := range u.faulty {
		w.faulty[at] = true
	}
	w.references = append(w.references, u.references...)
	return values
}
