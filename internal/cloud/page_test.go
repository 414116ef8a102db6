package cloud

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/siltlake/silt/test/golden"
)

// page is docs/storage-options.md.
func page() string {
	var b strings.Builder
	b.WriteString(`# Options of object stores

` + "`sink.storageOptions`" + ` holds the options of the stores that the table and the checkpoint are in. The names are those of Hadoop's connectors, as a
notebook or a cluster's configuration has them (` + "`spark.hadoop.`" + ` may stand before them), and those of delta-rs; they are compared ignoring case.
` + "`ACCOUNT`" + ` stands for the storage account and ` + "`BUCKET`" + ` for the bucket or container. An option with ` + "`ACCOUNT` or `BUCKET`" + ` in its name applies
only to that account or bucket, and wins over the same option without one. Errors are: the same option twice under two names; an option for a
cloud, account or bucket that neither path is in; an unknown option. What the options leave open is taken from the environment's standard
variables.

A secret is never printed, wherever it came from; give it as a reference: ` + "`${env:NAME}`, `${file:/path}`" + `.

This page is written by a test of the package that reads the options.
`)
	for _, c := range []Cloud{Azure, S3, GCS} {
		fmt.Fprintf(&b, "\n## %s\n\n| option | other spellings | meaning |\n|---|---|---|\n", c)
		var refused []spec
		for _, s := range specsOf(c) {
			if s.unsupported != "" {
				refused = append(refused, s)
				continue
			}
			doc := s.doc
			if s.secret {
				doc = "**Secret.** " + doc
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", s.name, code(s.others), doc)
		}
		b.WriteString("\nKnown, and not supported:\n\n| option | other spellings | instead |\n|---|---|---|\n")
		for _, s := range refused {
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", s.name, code(s.others), s.unsupported)
		}
	}
	return b.String()
}

func specsOf(c Cloud) []spec {
	return slices.DeleteFunc(specs(), func(s spec) bool { return s.cloud != c })
}

func code(names []string) string {
	var out []string
	for _, n := range names {
		out = append(out, "`"+n+"`")
	}
	return strings.Join(out, " ")
}

func TestThePageOfOptionsIsThatOfTheSpecs(t *testing.T) {
	golden.Check(t, "../../docs/storage-options.md", page())
}

// A name is one option's of its cloud, and each says what it is.
func TestEveryOptionHasItsNamesToItself(t *testing.T) {
	for _, c := range []Cloud{Azure, S3, GCS} {
		own, seen := specsOf(c), map[string]string{}
		for _, s := range own {
			if (s.doc == "") == (s.unsupported == "") || strings.Contains(s.doc+s.unsupported, "|") {
				t.Errorf("%s: %+v", c, s)
			}
			for _, name := range slices.Concat([]string{s.name}, s.others) {
				if strings.HasPrefix(strings.ToLower(name), hadoopPrefix) {
					t.Errorf("%s: %s has the prefix that is taken away", c, name)
				}
				key := strings.ToLower(strings.NewReplacer("ACCOUNT", "account", "BUCKET", "bucket").Replace(name))
				found := match(own, key)
				if len(found) != 1 || found[0].spec.name != s.name || seen[key] != "" {
					t.Errorf("%s: %s is that of %+v, and of %q", c, name, found, seen[key])
				}
				seen[key] = s.name
			}
		}
	}
}
