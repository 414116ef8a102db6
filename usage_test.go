package silt_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"

	"github.com/siltlake/silt/internal/problem"
)

// calls yields every selector expression x.name outside of imports, with the function it is in: "internal/option/option.go Value.Reveal".
func calls(s source, name string, found func(where string, call *ast.CallExpr)) {
	for _, d := range s.file.Decls {
		where := s.name
		if f, ok := d.(*ast.FuncDecl); ok {
			where += " " + functionName(f)
		}
		ast.Inspect(d, func(n ast.Node) bool {
			if c, ok := n.(*ast.CallExpr); ok {
				if sel, ok := c.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == name {
					found(where, c)
				}
			}
			return true
		})
	}
}

func functionName(f *ast.FuncDecl) string {
	if f.Recv == nil || len(f.Recv.List) == 0 {
		return f.Name.Name
	}
	typ := f.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if id, ok := typ.(*ast.Ident); ok {
		return id.Name + "." + f.Name.Name
	}
	return f.Name.Name
}

// reveals lists every function that takes a value out of a secret.Secret, or out of an option that may be one, and what it does with it.
// Each package is a paragraph, so that gofmt aligns no other's lines.
var reveals = map[string]string{
	"demo_folder.go demoFolder.complete": "the demo's own key pair, into files for its owner's clients",

	"internal/broker/users.go users.add": "a new user's password, for the credentials that are kept of it",

	"internal/cloud/azure.go azure.container":             "compared with what the client was made of",
	"internal/cloud/azure_auth.go azureTransport.Do":      "a SAS, for the URL",
	"internal/cloud/azure_auth.go newAzureClient":         "a key, for the SDK's credential",
	"internal/cloud/azure_auth.go newAzureCredential":     "a service principal's secret, for the SDK's credential",
	"internal/cloud/azure_auth.go azureToken.GetToken":    "a token, for the Authorization header",
	"internal/cloud/azure_login.go azureReader.key":       "whether it is base64",
	"internal/cloud/azure_login.go azureReader.signature": "whether it is a SAS, and when it ends",
	"internal/cloud/given.go reader.text":                 "options that are no secrets by nature",

	"internal/cloud/gcs.go gcs.send":                    "the Authorization header",
	"internal/cloud/gcs_auth.go gcsTokens.renew":        "an access token, compared with the one before",
	"internal/cloud/gcs_auth.go newGCSTokens":           "an access token of the options, as it is now",
	"internal/cloud/gcs_credentials.go gcsKeyring.load": "a key in JSON, for Google's library",
	"internal/cloud/gcs_options.go gcsReader.login":     "a key in JSON, whether it can be used",

	"internal/config/config.go walker.path":            "a path",
	"internal/config/reference.go resolution.resolve":  "the text of a value, for what is checked of it",
	"internal/cloud/s3_auth.go staticKeys":             "the keys, for the SDK to sign with",
	"internal/cloud/s3_login.go s3Reader.providers":    "names of classes",
	"internal/cloud/s3_options.go s3Settings":          "compared with etag",
	"internal/cloud/s3_options.go s3Reader.endpoint":   "a URL",
	"internal/cloud/s3_options.go s3Reader.encryption": "compared with the algorithms",

	"internal/datagen/client.go Client.call": "the Authorization header",

	"internal/decode/options.go parseSelect": "names of columns",

	"internal/httpd/guard.go NewGuard": "keys and secrets, for their digests",

	"internal/kafka/login.go login.mechanism":   "user and password, for SASL PLAIN",
	"internal/kafka/login.go login.scram":       "user and password, for SASL SCRAM",
	"internal/kafka/options.go parseBrokers":    "addresses of brokers",
	"internal/kafka/options.go parseTopics":     "names of topics",
	"internal/kafka/options.go parseStarting":   "offsets",
	"internal/kafka/options.go parseSecurity":   "compared with the protocols and with the empty text",
	"internal/kafka/options.go parseLogin":      "the jaas string, taken apart into Secrets; whether a password is empty",
	"internal/kafka/options.go parseTrustStore": "the name of a file, the certificates of authorities",

	"internal/option/option.go Value.Reveal":    "for the parsers of sections",
	"internal/option/parser.go Parser.String":   "options that are no secrets by nature, though they may have come from a reference",
	"internal/option/parser.go Parser.Enum":     "compared with the choices",
	"internal/option/parser.go Parser.Bool":     "true or false",
	"internal/option/parser.go Parser.Int":      "a number",
	"internal/option/parser.go Parser.Size":     "a number",
	"internal/option/parser.go Parser.Duration": "a time span",

	"internal/registry/options.go credentials":   "whether there is a colon",
	"internal/registry/options.go endpoints":     "URLs; their user and password become Secrets",
	"internal/registry/options.go truststore":    "the name of a file, the certificates of authorities",
	"internal/registry/request.go Client.sendTo": "the Authorization header",

	"internal/scope/local.go localStore.put":  "a secret, into the text that is encrypted",
	"internal/scope/local.go localStore.keys": "the passphrase, for the key that is made of it",
	"internal/scope/vault.go vault.get":       "the token, to see whether it is another",
	"internal/scope/vault.go vault.ask":       "the token, for the header",

	"internal/table/options.go ParseOptions": "the name of a codec",
}

func TestSecretsAreRevealedInKnownPlacesOnly(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range sources(t) {
		calls(s, "Reveal", func(where string, c *ast.CallExpr) {
			if seen[where] = true; reveals[where] == "" {
				t.Errorf("%s reveals a secret and is not in the list: %s", s.set.Position(c.Pos()), where)
			}
		})
	}
	for where := range reveals {
		if !seen[where] {
			t.Errorf("%s is in the list and reveals nothing", where)
		}
	}
}

func TestEveryProblemCodeIsUsed(t *testing.T) {
	used := map[string]bool{}
	for _, s := range sources(t) {
		if strings.HasPrefix(s.name, "internal/problem/") {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := sel.X.(*ast.Ident); ok && x.Name == "problem" {
					used[sel.Sel.Name] = true
				}
			}
			return true
		})
	}
	names := codeNames(t)
	for _, code := range problem.Codes() {
		if !used[names[code]] {
			t.Errorf("%s (%s) is used by nobody", code, names[code])
		}
	}
}

// codeNames are the names of the constants in package problem, by code.
func codeNames(t *testing.T) map[problem.Code]string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "internal/problem/codes.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	names := map[problem.Code]string{}
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || len(v.Values) != 1 {
			return true
		}
		if lit, ok := v.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
			names[problem.Code(strings.Trim(lit.Value, `"`))] = v.Names[0].Name
		}
		return true
	})
	if len(names) != len(problem.Codes()) {
		t.Errorf("%d constants and %d codes", len(names), len(problem.Codes()))
	}
	return names
}
