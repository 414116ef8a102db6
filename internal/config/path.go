package config

import (
	"cmp"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
)

// A Path is a place of the table or the checkpoint: a local directory, or a URL of another kind of store.
type Path struct {
	Text string // as the user wrote it, for messages
	Dir  string // the local directory; relative ones are relative to the working directory, as with other tools. "" if there is a URL
	URL  string // of an object store, not checked yet: abfss://data@account.dfs.core.windows.net/clicks
	Pos  problem.Location
}

// String is the path as the user wrote it.
func (p Path) String() string { return p.Text }

// Mapped is where Paths put the path, "" if its own text says where it is.
func (p Path) Mapped() string {
	if name, _, ok := schemeOf(p.Text); !ok || name == "file" || slices.Contains(storeSchemes, name) {
		return ""
	}
	return cmp.Or(p.URL, p.Dir)
}

// IsZero says that the path was not given, or was refused.
func (p Path) IsZero() bool { return p.Dir == "" && p.URL == "" }

// Paths say where the schemes and mounts of other systems are: `paths: {dbfs: /data}` makes dbfs:/x of a notebook /data/x. The nil Paths
// know none.
type Paths []Mount

// A Mount says where one scheme, or one folder of it, is.
type Mount struct {
	From string // scheme:/folder, without a slash at its end but for that of the root
	To   string // an absolute local directory, or the URL of an object store, not checked yet
	Pos  problem.Location
}

var (
	// scheme has at least two characters: C:\data is a path of Windows.
	scheme = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]+):(.*)$`)
	// storeSchemes are those whose URLs name a store and a folder in it. Whether silt writes to them is not decided here.
	storeSchemes = []string{"abfs", "abfss", "wasb", "wasbs", "az", "azure", "adl", "s3", "s3a", "s3n", "gs", "gcs", "r2", "oss", "hdfs", "http", "https"}
)

// URL is To if it is one, else "".
func (m Mount) URL() string {
	if isURL(m.To) {
		return m.To
	}
	return ""
}

// schemeOf returns the lower-case scheme of text and what follows its colon; ok is false if it has none.
func schemeOf(text string) (name, rest string, ok bool) {
	if m := scheme.FindStringSubmatch(text); m != nil {
		return strings.ToLower(m[1]), m[2], true
	}
	return "", text, false
}

// isURL says whether text is the URL of a store.
func isURL(text string) bool {
	name, _, _ := schemeOf(text)
	return slices.Contains(storeSchemes, name)
}

// Resolve returns where text is: /path, a relative path, file:/path, file:///path, the URL of an object store, or a path that p maps to one
// of these. The problem has no location.
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
	name, rest, ok := schemeOf(text)
	switch {
	case !ok:
		if q := p.notHere(text, path.Clean(filepath.ToSlash(text))); q != nil {
			return out, q
		}
		out.Dir = filepath.Clean(text)
		return out, nil
	case slices.Contains(storeSchemes, name):
		out.URL = text
		return out, nil
	case name != "file" && name != "dbfs" && !p.knows(name):
		return out, problem.New(problem.InvalidValue, "unknown scheme %q in %q", name, text).Fix("a local path that looks so is written ./%s", text)
	}
	local, q := afterScheme(name, rest)
	if q != nil {
		return out, q
	}
	local = path.Clean(local) // before anything is joined: ".." stays below the root
	if name == "file" {
		out.Dir = filepath.FromSlash(local)
		return out, Paths(nil).notHere(text, local)
	}
	m, rest, ok := p.mount(name + ":" + local)
	switch {
	case !ok && name == "dbfs":
		return out, problem.New(problem.InvalidValue, "%s names a place of Databricks", text).Fix("%s", sayWhere)
	case !ok:
		return out, problem.New(problem.InvalidValue, "paths does not say where %s is", text).Fix("for example: paths: {%s: /data}", name)
	case m.URL() == "":
		out.Dir = filepath.Join(filepath.FromSlash(m.To), filepath.FromSlash(rest))
	default:
		out.URL = strings.TrimSuffix(m.To, "/")
		if rest != "" {
			out.URL += "/" + rest
		}
	}
	return out, nil
}

// sayWhere is what to do about a path of Databricks that is not mapped.
const sayWhere = "say where that is: paths: {dbfs: /data}, or paths: {dbfs:/mnt/NAME: abfss://...} for a mount"

// notHere refuses a local path, text, that a notebook takes for a place of Databricks: a folder below /dbfs, and one for which p has a mount
// elsewhere. clean is the path with slashes.
func (p Paths) notHere(text, clean string) *problem.Problem {
	if dbfs, ok := ofDBFS(clean); ok {
		q := problem.New(problem.InvalidValue, "%s names a place of Databricks, and would be a folder of this machine", text).Fix("write %s", dbfs)
		if _, _, mapped := p.mount(dbfs); !mapped {
			q.Hint += ", and " + sayWhere
		}
		return q
	}
	m, rest, ok := p.mount("dbfs:" + clean)
	if !path.IsAbs(clean) || !ok || m.From == "dbfs:/" || m.URL() == "" && path.Join(filepath.ToSlash(m.To), rest) == clean {
		return nil
	}
	return problem.New(problem.InvalidValue, "%s is a folder of this machine, and paths says that %s is elsewhere", text, m.From).
		Fix("write dbfs:%s, or file:%s if the folder of this machine is meant", clean, clean)
}

// ofDBFS is the name in DBFS of an absolute path, as notebooks have it; ok says whether it is one below /dbfs, where their machines have DBFS.
func ofDBFS(clean string) (dbfs string, ok bool) {
	rest, ok := strings.CutPrefix(clean+"/", "/dbfs/")
	return "dbfs:" + path.Clean("/"+rest), ok
}

// knows says whether anything of a scheme is mapped.
func (p Paths) knows(name string) bool {
	return slices.ContainsFunc(p, func(m Mount) bool { return strings.HasPrefix(m.From, name+":") })
}

// mount returns the longest mount that text is in, and its path relative to that.
func (p Paths) mount(text string) (longest Mount, rest string, ok bool) {
	for _, m := range p {
		r, in := strings.CutPrefix(text, m.From)
		if in && (r == "" || strings.HasPrefix(r, "/") || strings.HasSuffix(m.From, "/")) && len(m.From) > len(longest.From) {
			longest, rest, ok = m, strings.TrimPrefix(r, "/"), true
		}
	}
	return longest, rest, ok
}

// afterScheme returns the absolute path of /path or ///path. Two slashes begin with a host, which a local path has not.
func afterScheme(name, rest string) (string, *problem.Problem) {
	if host, ok := strings.CutPrefix(rest, "//"); ok {
		host, local, slash := strings.Cut(host, "/")
		if strings.Contains(host, "@") {
			return "", problem.New(problem.InvalidValue, "the path holds a login, which %s: has none of", name).Fix("write %s:/PATH", name)
		}
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
	var paths Paths
	for _, v := range vs.All() {
		if w.faulty[v.Pos] {
			continue
		}
		name, rest, ok := schemeOf(v.Key)
		if !ok {
			name, rest, ok = schemeOf(v.Key + ":")
		}
		if rest == "" {
			rest = "/"
		}
		folder, q := afterScheme(name, rest)
		from := name + ":" + path.Clean(folder)
		switch {
		case slices.Contains(storeSchemes, name):
			w.refuse(v, problem.InvalidValue, "%s: names an object store itself and cannot be mapped", name).
				Fix("write its URL into sink.delta.path and checkpointLocation")
		case name == "file" || !ok || q != nil:
			q := w.refuse(v, problem.InvalidValue, "%q is no scheme that can be mapped", v.Key).
				Fix("for example: paths: {dbfs: /data, dbfs:/mnt/lake: abfss://...}")
			if path.IsAbs(v.Key) {
				dbfs, _ := ofDBFS(path.Clean(v.Key))
				q.Fix("write %s: that is the folder's name in DBFS", dbfs)
			}
		case v.IsList || v.IsSecret || !filepath.IsAbs(v.Text) && !isURL(v.Text):
			w.refuse(v, problem.InvalidValue, "paths.%s is %q; want an absolute path or the URL of an object store", v.Key, v.Shown())
		case slices.ContainsFunc(paths, func(m Mount) bool { return m.From == from }):
			w.refuse(v, problem.DuplicateOption, "paths says twice where %s is", from)
		default:
			paths = append(paths, Mount{From: from, To: v.Text, Pos: v.Pos})
		}
	}
	return paths
}

// Apart checks that table and checkpoint do not disturb each other: VACUUM deletes what is in the table's directory and not in its log,
// except below directories that begin with '_' (learn.microsoft.com, delta-vacuum). inside says whether a path is another or in it, and
// returns it relative to that, "." for the same. Local paths were checked when the file was loaded.
func Apart(table, checkpoint Path, inside func(p, root Path) (rel string, ok bool)) *problem.Problem {
	conflict := func(format string, args ...any) *problem.Problem {
		return problem.New(problem.Conflict, format, args...).At(checkpoint.Pos).
			Fix("give the checkpoint a directory of its own, such as %s; inside the table only one that begins with _ is safe", beside(table))
	}
	rel, ok := inside(checkpoint, table)
	if !ok {
		if _, ok := inside(table, checkpoint); ok {
			return conflict("the table %s is inside the checkpoint %s", table, checkpoint)
		}
		return nil
	}
	switch first, _, _ := strings.Cut(rel, "/"); {
	case first == ".":
		return conflict("checkpointLocation and sink.delta.path are the same directory, %s", table)
	case first == "_delta_log":
		return conflict("the checkpoint %s is inside the table's log", checkpoint)
	case !strings.HasPrefix(first, "_"):
		return conflict("the checkpoint %s is inside the table %s, where VACUUM would delete it", checkpoint, table)
	}
	return nil
}

// beside is where the checkpoint of a table could be.
func beside(table Path) string {
	if table.URL == "" {
		return filepath.Join(filepath.Dir(table.Dir), "_checkpoints", filepath.Base(table.Dir))
	}
	server, folder, _ := strings.Cut(strings.TrimSuffix(table.URL, "/"), "://")
	i := strings.LastIndexByte(folder, '/')
	if i < 0 { // the table is all of the bucket
		return strings.TrimSuffix(table.Text, "/") + "/_checkpoint"
	}
	return server + "://" + folder[:i] + "/_checkpoints" + folder[i:]
}

// insideLocal is Apart's inside of local directories.
func insideLocal(p, root Path) (rel string, ok bool) {
	if p.Dir == "" || root.Dir == "" {
		return "", false
	}
	rel, ok = below(root.Dir, p.Dir)
	return filepath.ToSlash(rel), ok
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
