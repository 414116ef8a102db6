package config

import (
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
)

// A Path is a place of the table or the checkpoint.
type Path struct {
	Text string // as the user wrote it, for messages
	Dir  string // the local directory; relative ones are relative to the working directory, as with other tools
	pos  problem.Location
}

// String is the path as the user wrote it.
func (p Path) String() string { return p.Text }

// Paths say where the schemes of other systems are on this machine: `paths: {dbfs: /data}` makes dbfs:/x of a notebook /data/x.
// The nil map knows none.
type Paths map[string]string

var (
	// scheme has at least two characters: C:\data is a path of Windows.
	scheme = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]+):(.*)$`)
	// cloudSchemes are those of object stores.
	cloudSchemes = []string{"abfs", "abfss", "wasb", "wasbs", "az", "azure", "adl", "s3", "s3a", "s3n", "gs", "r2", "oss", "hdfs"}
)

// Resolve returns the local directory that text names: /path, a relative path, file:/path, file:///path, or a scheme of p. The problem
// has no location.
func (p Paths) Resolve(text string) (Path, *problem.Problem) {
	out := Path{Text: text}
	switch {
	case strings.TrimSpace(text) == "":
		return out, problem.New(problem.InvalidValue, "the path is empty")
	case strings.ContainsRune(text, 0):
		return out, problem.New(problem.InvalidValue, "the path holds a zero byte")
	case text == "~" || strings.HasPrefix(text, "~/"):
		return out, problem.New(problem.InvalidValue, "~ in %q is not replaced by the home directory", text).Fix("write ${env:HOME}%s", text[1:])
	}
	m := scheme.FindStringSubmatch(text)
	if m == nil {
		out.Dir = filepath.Clean(text)
		return out, nil
	}
	name, rest := strings.ToLower(m[1]), m[2]
	if slices.Contains(cloudSchemes, name) {
		return out, problem.New(problem.Unsupported, "the store of %s is not supported yet", text).
			Fix("use a local path: /path, file:/path, or dbfs:/path with paths: {dbfs: /path}")
	}
	root, mapped := "/", name == "file"
	if !mapped {
		root, mapped = p[name]
	}
	if !mapped {
		q := problem.New(problem.InvalidValue, "unknown scheme %q in %q", name, text).Fix("a local path that looks so is written ./%s", text)
		if name == "dbfs" {
			q = problem.New(problem.InvalidValue, "%s names a place of Databricks", text).
				Fix("say where that is on this machine: paths: {dbfs: /data}")
		}
		return out, q
	}
	local, q := afterScheme(name, rest)
	if q != nil {
		return out, q
	}
	// Clean before Join keeps ".." below the root.
	out.Dir = filepath.Join(filepath.FromSlash(root), filepath.FromSlash(path.Clean(local)))
	return out, nil
}

// afterScheme returns the absolute path of /path or ///path. Two slashes begin with a host, which a local path has not.
func afterScheme(name, rest string) (string, *problem.Problem) {
	if host, ok := strings.CutPrefix(rest, "//"); ok {
		host, local, slash := strings.Cut(host, "/")
		if host != "" && host != "localhost" || !slash {
			return "", problem.New(problem.InvalidValue, "%s:%s names the host %q", name, rest, host).
				Fix("write %s:/%s", name, strings.TrimPrefix(rest, "//"))
		}
		return "/" + local, nil
	}
	if !strings.HasPrefix(rest, "/") {
		return "", problem.New(problem.InvalidValue, "%s:%s is not absolute", name, rest).Fix("write %s:/%s", name, rest)
	}
	return rest, nil
}

// paths reads the section paths.
func (w *walker) paths(vs option.Values) Paths {
	paths := Paths{}
	for _, v := range vs.All() {
		if w.faulty[v.Pos] {
			continue
		}
		name := strings.ToLower(v.Key)
		switch {
		case slices.Contains(cloudSchemes, name):
			w.refuse(v, problem.Unsupported, "the store of %s: is not supported yet, and it cannot be mapped to a directory", v.Key).
				Fix("use a local path in sink.delta.path and checkpointLocation")
		case name == "file" || !scheme.MatchString(name+":"):
			w.refuse(v, problem.InvalidValue, "%q is no scheme that can be mapped", v.Key).Fix("for example: paths: {dbfs: /data}")
		case v.IsList || !filepath.IsAbs(v.Text):
			w.refuse(v, problem.InvalidValue, "paths.%s is %q; want an absolute path", v.Key, v.Shown())
		default:
			paths[name] = v.Text
		}
	}
	return paths
}

// apart checks that table and checkpoint do not disturb each other: VACUUM deletes what is in the table's directory and not in its log,
// except below directories that begin with '_' (learn.microsoft.com, delta-vacuum).
func apart(table, checkpoint Path) *problem.Problem {
	if table.Dir == "" || checkpoint.Dir == "" {
		return nil
	}
	conflict := func(format string, args ...any) *problem.Problem {
		beside := filepath.Join(filepath.Dir(table.Dir), "_checkpoints", filepath.Base(table.Dir))
		return problem.New(problem.Conflict, format, args...).At(checkpoint.pos).
			Fix("give the checkpoint a directory of its own, such as %s; inside the table only one that begins with _ is safe", beside)
	}
	inside, ok := below(table.Dir, checkpoint.Dir)
	if !ok {
		if _, ok := below(checkpoint.Dir, table.Dir); ok {
			return conflict("the table %s is inside the checkpoint %s", table, checkpoint)
		}
		return nil
	}
	switch first, _, _ := strings.Cut(filepath.ToSlash(inside), "/"); {
	case first == ".":
		return conflict("checkpointLocation and sink.delta.path are the same directory, %s", table)
	case first == "_delta_log":
		return conflict("the checkpoint %s is inside the table's log", checkpoint)
	case !strings.HasPrefix(first, "_"):
		return conflict("the checkpoint %s is inside the table %s, where VACUUM would delete it", checkpoint, table)
	}
	return nil
}

// below returns the path of dir relative to root, if dir is root or inside it.
func below(root, dir string) (string, bool) {
	root, err := filepath.Abs(root)
	if err != nil {
		return "", false
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", false
	}
	rel, err := filepath.Rel(root, dir)
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return "", false
	}
	return rel, true
}
