package cloud

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

// Options are those of sink.storageOptions, for any number of places. The zero value is none: what is needed is taken from the environment.
type Options struct{ set []setting }

// A setting is one option of the file for one cloud: allow_http is one of each.
type setting struct {
	named
	value option.Value
}

// A named is a spec that a key names, and the account and the bucket in the key; "" if it is for all.
type named struct {
	spec            spec
	as              string // the one of the spec's names that the key has
	account, bucket string
}

// specs are the options of all clouds.
func specs() []spec { return slices.Concat(azureSpecs(), s3Specs(), gcsSpecs()) }

// Sensitive says whether the value of an option is a secret, wherever it came from, and whether there is such an option. Config asks it of
// each key of the section.
func Sensitive(key string) (sensitive, known bool) {
	for _, m := range match(specs(), key) {
		sensitive, known = sensitive || m.spec.secret, true
	}
	return sensitive, known
}

// hadoopPrefix is what stands before Hadoop's options in the configuration of Spark.
const hadoopPrefix = "spark.hadoop."

// match returns the specs that key names, at most one a cloud, with the account and the bucket in it.
func match(specs []spec, key string) []named {
	key = strings.TrimPrefix(strings.ToLower(key), hadoopPrefix)
	var out []named
	for _, s := range specs {
		for _, name := range append([]string{s.name}, s.others...) {
			if account, bucket, ok := matches(name, key); ok {
				out = append(out, named{s, name, account, bucket})
				break
			}
		}
	}
	return out
}

// azureEndpoint is what follows ACCOUNT in the names of Hadoop's options: the endpoint of either service of any Azure cloud.
var azureEndpoint = `(?:\.(?:dfs|blob)\.(?:` + strings.ReplaceAll(strings.Join(azureSuffixes, "|"), ".", `\.`) + `))`

// matches compares a lower-case key with an option's name, and returns the account and the bucket in it.
func matches(name, key string) (account, bucket string, ok bool) {
	begin := min(strings.Index(name+"ACCOUNT", "ACCOUNT"), strings.Index(name+"BUCKET", "BUCKET"))
	if begin == len(name) {
		return "", "", strings.EqualFold(name, key)
	}
	if !strings.HasPrefix(key, strings.ToLower(name[:begin])) {
		return "", "", false
	}
	named := "(?P<b>[a-z0-9][a-z0-9._-]*)"
	if strings.Contains(name, "ACCOUNT") { // a container has no dots
		named = "(?P<b>[a-z0-9-]+)"
	}
	// The service and the suffix may be those of any Azure cloud, and be left out where the name has none.
	name = strings.NewReplacer("ACCOUNT.dfs.core.windows.net", "\x00", "ACCOUNT", "\x01", "BUCKET", "\x02").Replace(name)
	name = strings.ToLower(regexp.QuoteMeta(name))
	name = strings.NewReplacer("\x00", "(?P<a>[a-z0-9]+)"+azureEndpoint, "\x01", "(?P<a>[a-z0-9]+)"+azureEndpoint+"?", "\x02", named).Replace(name)
	re := regexp.MustCompile("^" + name + "$")
	m := re.FindStringSubmatch(key)
	if m == nil {
		return "", "", false
	}
	if i := re.SubexpIndex("a"); i > 0 {
		account = m[i]
	}
	if i := re.SubexpIndex("b"); i > 0 {
		bucket = m[i]
	}
	return account, bucket, true
}

// spelled is an option's name as it is written for a place; ok is false if the place lacks what stands in it.
func spelled(name string, p Place) (text string, ok bool) {
	if strings.Contains(name, "ACCOUNT") && p.Account == "" {
		return "", false
	}
	name = strings.ReplaceAll(name, "ACCOUNT.dfs.core.windows.net", "ACCOUNT.dfs."+p.Suffix)
	return strings.NewReplacer("ACCOUNT", p.Account, "BUCKET", p.Bucket).Replace(name), true
}

// ParseOptions reads the section sink.storageOptions, which is for the stores of all places: those of the table and the checkpoint. Every
// option must be one of a place's cloud, and of its account or bucket if its name holds one. What is wrong with the values is found too, and
// whether anything is missing that neither the options nor the environment's standard variables give.
func ParseOptions(vs option.Values, env Env, places ...Place) (Options, []*problem.Problem) {
	o, problems := readOptions(specs(), vs, places)
	reported := map[problem.Location]bool{}
	for _, q := range problems {
		reported[q.Where] = true // what a wrong name was taken for
	}
	for _, v := range vs.All() {
		if v.Refused {
			reported[v.Pos] = true
		}
	}
	for _, p := range places {
		g := o.given(p)
		for _, q := range p.driver().check(p, g, env) {
			switch {
			case q.Code == problem.MissingOption && g.hollow():
				continue
			case q.Where != problem.Location{} && reported[q.Where]:
				continue
			case q.Where != problem.Location{}:
			case vs.Pos.File != "":
				q.Where = vs.Pos
			default:
				q.Where = problem.File(p.Text)
			}
			problems = append(problems, q)
		}
	}
	return o, problems
}

// readOptions finds out which options are given, for which cloud, account and bucket. An option with a wrong name is reported, and then taken
// for what was meant, so that this is not missing too.
func readOptions(specs []spec, vs option.Values, places []Place) (o Options, problems []*problem.Problem) {
	var meant []setting
	for _, v := range vs.All() {
		set, q := usable(specs, v, match(specs, v.Key), places)
		if q != nil {
			problems = append(problems, q.At(v.Pos))
			meant = append(meant, set...)
			continue
		}
		for _, s := range set {
			if i := slices.IndexFunc(o.set, s.same); i >= 0 {
				problems = append(problems, problem.New(problem.Conflict, "%s and %s are the same option", o.set[i].value.Key, v.Key).At(v.Pos).
					Fix("remove one of them"))
				break
			}
			o.set = append(o.set, s)
		}
	}
	for _, s := range meant {
		if !slices.ContainsFunc(o.set, s.same) {
			o.set = append(o.set, s)
		}
	}
	return o, problems
}

// same says whether both are one option of one place, in two spellings.
func (s setting) same(t setting) bool {
	return s.spec.cloud == t.spec.cloud && s.spec.name == t.spec.name && s.account == t.account && s.bucket == t.bucket
}

// usable returns the settings that an option makes, or why it makes none and those that were meant.
func usable(specs []spec, v option.Value, found []named, places []Place) (set []setting, q *problem.Problem) {
	if len(found) == 0 {
		q, meant := unknown(specs, v.Key, places)
		return settings(v, match(specs, meant), places), q
	}
	meant := ""
	for _, f := range found {
		if !slices.ContainsFunc(places, func(p Place) bool { return p.Cloud == f.spec.cloud }) {
			q = cmp.Or(q, otherCloud(v.Key, f.spec.cloud, places))
			continue
		}
		if f.spec.unsupported != "" {
			return nil, problem.New(problem.Unsupported, "%s is not supported", v.Key).Fix("%s", f.spec.unsupported)
		}
		if !slices.ContainsFunc(places, f.belongs) {
			if q == nil {
				q, meant = otherOwner(v.Key, f, places)
			}
			continue
		}
		set = append(set, setting{f, hidden(v, f.spec)})
	}
	switch {
	case len(set) == 0:
		return settings(v, match(specs, meant), places), q
	case v.IsList:
		return nil, problem.New(problem.InvalidValue, "%s is a list; want a single value", v.Key)
	}
	return set, nil
}

// settings are those of an option, by other names than its own.
func settings(v option.Value, names []named, places []Place) (set []setting) {
	for _, n := range names {
		if slices.ContainsFunc(places, n.belongs) && !v.IsList {
			set = append(set, setting{n, hidden(v, n.spec)})
		}
	}
	return set
}

// hidden makes a secret of a value that is one by nature, though it stands in the file itself.
func hidden(v option.Value, s spec) option.Value {
	if s.secret && !v.IsSecret && !v.IsList {
		v.IsSecret, v.Secret, v.Text = true, secret.New(v.Text), ""
	}
	return v
}

// belongs says whether the option is for a place: whether the account and the bucket in its name are the place's. A place without an account
// (az://container) may be in any.
func (n named) belongs(p Place) bool {
	return p.Cloud == n.spec.cloud && (n.account == "" || p.Account == "" || n.account == p.Account) && (n.bucket == "" || n.bucket == p.Bucket)
}

// special says how special an option is: what is for a bucket is taken before what is for an account, and that before what is for all.
func (n named) special() int {
	switch {
	case n.bucket != "":
		return 2
	case n.account != "":
		return 1
	}
	return 0
}

// unknown is the problem of a key that no cloud has, and the key that was meant, "" if none is like it.
func unknown(specs []spec, key string, places []Place) (q *problem.Problem, meant string) {
	q = problem.New(problem.UnknownOption, "unknown option %q in sink.storageOptions", key)
	var names []string
	for _, s := range specs {
		for _, p := range places {
			if p.Cloud != s.cloud || s.unsupported != "" {
				continue
			}
			for _, name := range append([]string{s.name}, s.others...) {
				if text, ok := spelled(name, p); ok {
					names = append(names, text)
				}
			}
		}
	}
	prefix := prefixOf(key)
	if n := problem.Nearest(key[len(prefix):], names); n != "" {
		meant = prefix + n
		q.Message += fmt.Sprintf("; did you mean %q?", meant)
	}
	return q.Fix("docs/storage-options.md lists all options"), meant
}

// prefixOf is hadoopPrefix if the key begins so.
func prefixOf(key string) string {
	if strings.HasPrefix(strings.ToLower(key), hadoopPrefix) {
		return hadoopPrefix
	}
	return ""
}

// otherCloud is the problem of an option of a cloud in which no place is.
func otherCloud(key string, c Cloud, places []Place) *problem.Problem {
	if len(places) == 0 {
		return problem.New(problem.Conflict, "%s is an option of %s, and table and checkpoint are on local disk", key, c).
			Fix("give the table or the checkpoint a path in an object store, or remove it; what a notebook has mounted is dbfs:/mnt/NAME/..., " +
				"and paths says where that is")
	}
	return problem.New(problem.Conflict, "%s is an option of %s, and no path is there", key, c).Fix("remove it; the paths are %s", texts(places))
}

// otherOwner is the problem of an option of an account or a bucket in which no place is, and the key that was meant, "" if that is not known.
func otherOwner(key string, n named, places []Place) (q *problem.Problem, meant string) {
	places = slices.DeleteFunc(slices.Clone(places), func(p Place) bool { return p.Cloud != n.spec.cloud })
	what, owner, of := n.spec.cloud.bucket(), n.bucket, func(p Place) string { return p.Bucket }
	if n.account != "" && !slices.ContainsFunc(places, func(p Place) bool { return p.Account == "" || p.Account == n.account }) {
		what, owner, of = "storage account", n.account, func(p Place) string { return p.Account }
	}
	right := map[string]string{} // key, by the account or the bucket that it is for
	for _, p := range places {
		p.Account, p.Suffix = cmp.Or(p.Account, n.account), cmp.Or(p.Suffix, azurePublic)
		text, _ := spelled(n.as, p)
		right[of(p)] = prefixOf(key) + text
	}
	keys := slices.Sorted(maps.Values(right))
	q = problem.New(problem.Conflict, "%s is for the %s %q, and no path is in it", key, what, owner)
	near := problem.Nearest(owner, slices.Sorted(maps.Keys(right)))
	isPlaceholder := strings.Contains(key, strings.ToUpper(owner)) && slices.Contains([]string{"account", "bucket", "container"}, owner)
	switch {
	case isPlaceholder:
		q.Message = fmt.Sprintf("%s has %s where the name of the %s stands", key, strings.ToUpper(owner), what)
		return q.Fix("rename it to %s", strings.Join(keys, " or ")), keys[0]
	case near != "":
		q.Message += fmt.Sprintf("; did you mean %q?", near)
		return q.Fix("rename it to %s", right[near]), right[near]
	}
	return q.Fix("rename it to %s, or remove it", strings.Join(keys, " or ")), ""
}

// texts are the places as the user wrote them.
func texts(places []Place) string {
	var out []string
	for _, p := range places {
		if !slices.Contains(out, p.Text) {
			out = append(out, p.Text)
		}
	}
	return strings.Join(out, " and ")
}

// given returns the options of one place. One that names the place's account or bucket is taken before one that names none, as Hadoop takes
// it.
func (o Options) given(p Place) given {
	g := given{}
	taken := map[string]int{}
	for _, s := range o.set {
		name := s.spec.name
		if _, ok := g[name]; s.belongs(p) && (!ok || s.special() > taken[name]) {
			g[name], taken[name] = s.value, s.special()
		}
	}
	return g
}
