package cloud

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

// testSpecs have every kind of name.
var testSpecs = []spec{
	{cloud: Azure, name: "azure_storage_account_key", others: []string{"fs.azure.account.key.ACCOUNT.dfs.core.windows.net", "account_key"}, secret: true},
	{cloud: Azure, name: "fs.azure.sas.fixed.token", others: []string{"fs.azure.sas.fixed.token.ACCOUNT", "fs.azure.sas.BUCKET.ACCOUNT.dfs.core.windows.net"}, secret: true},
	{cloud: Azure, name: "azure_allow_http", others: []string{"allow_http"}},
	{cloud: Azure, name: "fs.azure.account.auth.type", others: []string{"fs.azure.account.auth.type.ACCOUNT"}},
	{cloud: Azure, name: "fs.azure.old", unsupported: "use the new one"},
	{cloud: S3, name: "aws_secret_access_key", others: []string{"fs.s3a.secret.key", "fs.s3a.bucket.BUCKET.secret.key"}, secret: true},
	{cloud: S3, name: "aws_allow_http", others: []string{"allow_http"}},
	{cloud: GCS, name: "google_service_account"},
}

func place(t *testing.T, text string) Place {
	t.Helper()
	p, q := ParsePlace(text)
	if q != nil {
		t.Fatal(q)
	}
	return p
}

func values(keys ...string) option.Values {
	var vs []option.Value
	for i, key := range keys {
		key, text, _ := strings.Cut(key, "=")
		vs = append(vs, option.Value{Key: key, Text: text, Pos: problem.Location{Line: i + 1}})
	}
	return option.NewValues("sink.storageOptions", problem.Location{}, vs...)
}

const (
	adls   = "abfss://data@account.dfs.core.windows.net/clicks"
	mine   = "abfss://data@mine.dfs.core.windows.net/clicks"
	bucket = "s3://my.bucket/clicks"
)

func TestOptionsAreGivenToTheirPlace(t *testing.T) {
	for _, tt := range []struct {
		name   string
		places []string
		keys   []string
		want   []string // of the first place
	}{
		{"the tutorial's", []string{adls}, []string{"fs.azure.account.key.account.dfs.core.windows.net=k"}, []string{"azure_storage_account_key=k"}},
		{"in any case, as Spark's configuration has it", []string{adls}, []string{"Spark.Hadoop.FS.Azure.account.key.ACCOUNT.dfs.core.windows.net=k"},
			[]string{"azure_storage_account_key=k"}},
		{"the other endpoint of the account", []string{adls}, []string{"fs.azure.account.key.account.blob.core.windows.net=k"},
			[]string{"azure_storage_account_key=k"}},
		{"the account alone, where the name has no endpoint", []string{adls}, []string{"fs.azure.account.auth.type.account=SAS"},
			[]string{"fs.azure.account.auth.type=SAS"}},
		{"delta-rs's", []string{adls}, []string{"ACCOUNT_KEY=k"}, []string{"azure_storage_account_key=k"}},
		{"the account's before the general one", []string{adls},
			[]string{"azure_storage_account_key=general", "fs.azure.account.key.account.dfs.core.windows.net=k"}, []string{"azure_storage_account_key=k"}},
		{"a key for each account", []string{adls, "abfss://data@second.dfs.core.windows.net/c"},
			[]string{"fs.azure.account.key.second.dfs.core.windows.net=2", "fs.azure.account.key.account.dfs.core.windows.net=1"},
			[]string{"azure_storage_account_key=1"}},
		{"an account that the URL leaves to an option", []string{"az://data/clicks"}, []string{"fs.azure.account.key.account.dfs.core.windows.net=k"},
			[]string{"azure_storage_account_key=k"}},
		{"a bucket with dots", []string{bucket}, []string{"fs.s3a.bucket.my.bucket.secret.key=k", "fs.s3a.secret.key=general"},
			[]string{"aws_secret_access_key=k"}},
		{"the container's before the account's", []string{adls},
			[]string{"fs.azure.sas.fixed.token.account=a", "fs.azure.sas.fixed.token=x", "fs.azure.sas.data.account.blob.core.windows.net=c"},
			[]string{"fs.azure.sas.fixed.token=c"}},
		{"an option of both clouds", []string{bucket, adls}, []string{"allow_http=true", "account_key=k"}, []string{"aws_allow_http=true"}},
	} {
		var places []Place
		for _, text := range tt.places {
			places = append(places, place(t, text))
		}
		o, problems := readOptions(testSpecs, values(tt.keys...), places)
		if len(problems) > 0 {
			t.Errorf("%s: %v", tt.name, problems)
		}
		var got []string
		for name, v := range o.given(places[0]) {
			got = append(got, name+"="+v.Reveal())
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestOptionsThatFitNoPlaceAreRefused(t *testing.T) {
	both := []string{adls, bucket}
	for _, tt := range []struct {
		places []string
		keys   []string
		code   problem.Code
		want   string // of message and fix; "": no problem
	}{
		{both, []string{"fs.azure.account.keys.account.dfs.core.windows.net"}, problem.UnknownOption,
			`unknown option "fs.azure.account.keys.account.dfs.core.windows.net" in sink.storageOptions; did you mean "fs.azure.account.key.account.dfs.core.windows.net"?`},
		{both, []string{"spark.hadoop.fs.s3a.secrt.key"}, problem.UnknownOption, `did you mean "spark.hadoop.fs.s3a.secret.key"?`},
		{both, []string{"fs.s3a.bucket.my.bucket.secret.keys"}, problem.UnknownOption, `did you mean "fs.s3a.bucket.my.bucket.secret.key"?`},
		{both, []string{"nothing.like.it"}, problem.UnknownOption, `unknown option "nothing.like.it" in sink.storageOptions`},
		{both, []string{"fs.azure.account.key.acount.dfs.core.windows.net"}, problem.Conflict,
			`is for the storage account "acount", and no path is in it; did you mean "account"? -> rename it to fs.azure.account.key.account.dfs.core.windows.net`},
		{both, []string{"spark.hadoop.fs.azure.account.auth.type.acount"}, problem.Conflict, "-> rename it to spark.hadoop.fs.azure.account.auth.type.account"},
		{[]string{mine}, []string{"fs.azure.account.key.ACCOUNT.dfs.core.windows.net"}, problem.Conflict,
			"ACCOUNT.dfs.core.windows.net has ACCOUNT where the name of the storage account stands -> rename it to fs.azure.account.key.mine.dfs.core.windows.net"},
		{[]string{bucket}, []string{"fs.s3a.bucket.BUCKET.secret.key"}, problem.Conflict,
			"has BUCKET where the name of the bucket stands -> rename it to fs.s3a.bucket.my.bucket.secret.key"},
		{both, []string{"fs.s3a.bucket.other.secret.key"}, problem.Conflict, `is for the bucket "other", and no path is in it` +
			" -> rename it to fs.s3a.bucket.my.bucket.secret.key, or remove it"},
		{[]string{bucket, "s3://yours"}, []string{"fs.s3a.bucket.other.secret.key"}, problem.Conflict,
			" -> rename it to fs.s3a.bucket.my.bucket.secret.key or fs.s3a.bucket.yours.secret.key, or remove it"},
		{[]string{"az://data/x"}, []string{"fs.azure.sas.other.account.dfs.core.windows.net"}, problem.Conflict,
			`is for the container "other", and no path is in it -> rename it to fs.azure.sas.data.account.dfs.core.windows.net, or remove it`},
		{both, []string{"fs.azure.sas.other.account.dfs.core.windows.net"}, problem.Conflict, `is for the container "other", and no path is in it`},
		{both, []string{"fs.azure.sas.data.acount.dfs.core.windows.net"}, problem.Conflict, `is for the storage account "acount", and no path is in it; did you`},
		{[]string{bucket}, []string{"account_key"}, problem.Conflict, "account_key is an option of Azure, and no path is there"},
		{nil, []string{"account_key"}, problem.Conflict, "account_key is an option of Azure, and table and checkpoint are on local disk"},
		{[]string{bucket}, []string{"allow_http"}, "", ""}, // of Azure too
		{both, []string{"fs.azure.old"}, problem.Unsupported, "fs.azure.old is not supported"},
		{both, []string{"account_key", "azure_storage_account_key"}, problem.Conflict, "account_key and azure_storage_account_key are the same option"},
		{both, []string{"fs.azure.account.key.account.dfs.core.windows.net", "fs.azure.account.key.account.blob.core.windows.net"}, problem.Conflict,
			"are the same option"},
	} {
		var places []Place
		for _, text := range tt.places {
			places = append(places, place(t, text))
		}
		_, problems := readOptions(testSpecs, values(tt.keys...), places)
		if tt.want == "" && len(problems) == 0 {
			continue
		}
		if len(problems) != 1 || tt.want == "" || problems[0].Code != tt.code || !strings.Contains(problems[0].Message+" -> "+problems[0].Hint, tt.want) || problems[0].Where.Line != len(tt.keys) {
			t.Errorf("%v: got %v", tt.keys, problems)
		}
	}
	list := option.NewValues("", problem.Location{}, option.Value{Key: "allow_http", IsList: true})
	if _, problems := readOptions(testSpecs, list, []Place{place(t, bucket)}); len(problems) != 1 || problems[0].Code != problem.InvalidValue {
		t.Errorf("a list: got %v", problems)
	}
}

func TestSecretsAreSecretsThoughTheyStandInTheFile(t *testing.T) {
	p := place(t, adls)
	o, problems := readOptions(testSpecs, values("account_key=canary"), []Place{p})
	if text := fmt.Sprintf("%v %+v %#v %v", o, o, o, o.given(p)); len(problems) > 0 || strings.Contains(text, "canary") || !strings.Contains(text, secret.Redacted) {
		t.Errorf("got %s %v", text, problems)
	}
}

func TestWhatIsThereIsNotMissingToo(t *testing.T) {
	for _, tt := range []struct {
		name, path string
		options    []option.Value
		want       string // messages
	}{
		{"nothing", mine, []option.Value{{Key: "fs.azure.account.auth.type", Text: "SAS"}}, "fs.azure.sas.fixed.token is missing"},
		{"a misspelt name", mine, []option.Value{{Key: "fs.azure.account.auth.type", Text: "SAS"}, {Key: "fs.azure.sas.fixd.token", Text: "canary"}},
			`unknown option "fs.azure.sas.fixd.token" in sink.storageOptions; did you mean "fs.azure.sas.fixed.token"?`},
		{"a misspelt account", mine, []option.Value{{Key: "fs.azure.account.auth.type", Text: "SharedKey"},
			{Key: "fs.azure.account.key.mien.dfs.core.windows.net", Text: "S2V5"}},
			`fs.azure.account.key.mien.dfs.core.windows.net is for the storage account "mien", and no path is in it; did you mean "mine"?`},
		{"a misspelt name beside the right one", mine, []option.Value{{Key: "acount_key", Text: "S2V5"}, {Key: "account_key", Text: "S2V5"}},
			`unknown option "acount_key" in sink.storageOptions; did you mean "account_key"?`},
		{"a wrong account for a value that was refused", mine, []option.Value{{Key: "fs.azure.account.key.mien.dfs.core.windows.net", Refused: true}},
			`fs.azure.account.key.mien.dfs.core.windows.net is for the storage account "mien", and no path is in it; did you mean "mine"?`},
		{"a value that was refused is compared with nothing", mine, []option.Value{{Key: "azure_container_name", Text: "${env:NOPE}", Refused: true}}, ""},
		{"no value", bucket, []option.Value{{Key: "aws_access_key_id", Text: "AK"}, {Key: "aws_secret_access_key", Refused: true}}, ""},
	} {
		for i := range tt.options {
			tt.options[i].Pos = problem.Location{File: "silt.yaml", Line: i + 1}
		}
		env := Env{Getenv: func(string) (string, bool) { return "", false }}
		_, problems := ParseOptions(option.NewValues("sink.storageOptions", problem.Location{}, tt.options...), env, place(t, tt.path))
		var got []string
		for _, q := range problems {
			got = append(got, q.Message)
		}
		if text := strings.Join(got, "; "); text != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, text, tt.want)
		}
	}
}
