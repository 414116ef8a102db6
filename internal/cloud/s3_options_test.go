package cloud

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

// String is the source's name in the tables of these tests.
func (s s3Source) String() string {
	return [...]string{"default", "static", "environment", "profile", "web", "instance", "anonymous"}[s]
}

// s3Env is an environment of names and values in turn.
func s3Env(pairs ...string) Env {
	m := map[string]string{}
	for pair := range slices.Chunk(pairs, 2) {
		m[pair[0]] = pair[1]
	}
	return Env{Getenv: func(name string) (string, bool) {
		if text, ok := m[name]; ok {
			return text, true
		}
		return noEnv.Getenv(name)
	}}
}

func TestS3Specs(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range s3Specs() {
		if s.cloud != S3 {
			t.Errorf("%s is of %v", s.name, s.cloud)
		}
		if (s.doc == "") == (s.unsupported == "") {
			t.Errorf("%s: want either a doc or what to do instead", s.name)
		}
		for _, name := range append([]string{s.name}, s.others...) {
			if low := strings.ToLower(name); seen[low] {
				t.Errorf("%s is there twice", name)
			} else {
				seen[low] = true
			}
		}
	}
	for _, name := range []string{
		// Hadoop's, for all buckets and for one
		"fs.s3a.access.key", "fs.s3a.bucket.BUCKET.access.key", "fs.s3a.secret.key", "fs.s3a.session.token", "fs.s3a.endpoint", "fs.s3a.endpoint.region",
		"fs.s3a.bucket.BUCKET.endpoint.region", "fs.s3a.path.style.access", "fs.s3a.connection.ssl.enabled", "fs.s3a.aws.credentials.provider",
		// delta-rs's
		"aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_region", "region", "aws_endpoint", "aws_endpoint_url", "aws_profile",
		"aws_web_identity_token_file", "aws_role_arn", "aws_virtual_hosted_style_request", "aws_conditional_put", "allow_http", "aws_allow_http",
		// refused by name
		"aws_s3_locking_provider", "aws_s3_allow_unsafe_rename", "fs.s3a.impl", "delta_dynamo_table_name", "aws_endpoint_url_dynamodb",
	} {
		if !seen[strings.ToLower(name)] {
			t.Errorf("%s is not there", name)
		}
	}
	for _, name := range []string{"FS.S3A.Secret.Key", "aws_session_token", "fs.s3a.bucket.b.secret.key", "aws_secret_access_key_dynamodb", "fs.s3a.proxy.password"} {
		secretOne := false
		for _, m := range match(s3Specs(), name) {
			secretOne = secretOne || m.spec.secret
		}
		if !secretOne {
			t.Errorf("%s is no secret", name)
		}
	}
}

func TestS3Settings(t *testing.T) {
	keys := []string{s3AccessKey, "id", s3SecretKey, "key"}
	for _, test := range []struct {
		name  string
		given []string
		env   []string
		want  string // endpoint region path|virtual sources
	}{
		{"nothing", nil, nil, " - virtual default"},
		{"keys and a region", append(keys, s3Region, "eu-west-1"), nil, " eu-west-1 virtual static"},
		{"the environment's region", keys, []string{"AWS_REGION", "eu-north-1", "AWS_DEFAULT_REGION", "x"}, " eu-north-1 virtual static"},
		{"the older variable", keys, []string{"AWS_DEFAULT_REGION", "eu-north-1"}, " eu-north-1 virtual static"},
		{"the file's region before the environment's", append(keys, s3Region, "a"), []string{"AWS_REGION", "b"}, " a virtual static"},
		// endpoints
		{"a host", []string{s3Endpoint, "minio.example:9000"}, nil, "https://minio.example:9000 us-east-1 path default"},
		{"a host on loopback without TLS", []string{s3Endpoint, "localhost:9000", s3SSL, "false"}, nil, "http://localhost:9000 us-east-1 path default"},
		{"http on loopback", []string{s3Endpoint, "http://127.0.0.1:9000/"}, nil, "http://127.0.0.1:9000 us-east-1 path default"},
		{"http beyond it, allowed", []string{s3Endpoint, "http://minio:9000", s3AllowHTTP, "true"}, nil, "http://minio:9000 us-east-1 path default"},
		{"http beyond it, allowed by the environment", []string{s3Endpoint, "http://minio:9000"}, []string{"AWS_ALLOW_HTTP", "true"}, "http://minio:9000 us-east-1 path default"},
		{"a scheme counts before the switch", []string{s3Endpoint, "https://minio", s3SSL, "false"}, nil, "https://minio us-east-1 path default"},
		{"of a region", []string{s3Endpoint, "s3.eu-west-1.amazonaws.com"}, nil, "https://s3.eu-west-1.amazonaws.com eu-west-1 virtual default"},
		{"of a region, dual stack", []string{s3Endpoint, "https://s3.dualstack.eu-west-1.amazonaws.com"}, nil, "https://s3.dualstack.eu-west-1.amazonaws.com eu-west-1 virtual default"},
		{"of a region in China", []string{s3Endpoint, "s3.cn-north-1.amazonaws.com.cn"}, nil, "https://s3.cn-north-1.amazonaws.com.cn cn-north-1 virtual default"},
		{"of a government region", []string{s3Endpoint, "s3.us-gov-west-1.amazonaws.com"}, nil, "https://s3.us-gov-west-1.amazonaws.com us-gov-west-1 virtual default"},
		{"of a private link", []string{s3Endpoint, "https://bucket.vpce-1.s3.eu-west-1.vpce.amazonaws.com"}, nil,
			"https://bucket.vpce-1.s3.eu-west-1.vpce.amazonaws.com eu-west-1 virtual default"},
		{"of no region", []string{s3Endpoint, "s3.amazonaws.com", s3Region, "eu-west-1"}, nil, " eu-west-1 virtual default"},
		{"not AWS's, though it looks so", []string{s3Endpoint, "s3.amazonaws.com.example.org"}, nil, "https://s3.amazonaws.com.example.org us-east-1 path default"},
		{"the environment's", nil, []string{"AWS_ENDPOINT_URL", "https://a", "AWS_ENDPOINT_URL_S3", "https://b"}, "https://b us-east-1 path default"},
		{"the environment's, general", nil, []string{"AWS_ENDPOINT_URL", "https://a"}, "https://a us-east-1 path default"},
		{"the environment's, switched off", nil, []string{"AWS_ENDPOINT_URL", "https://a", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"}, " - virtual default"},
		// addressing
		{"virtual hosts at another store", []string{s3Endpoint, "https://r2", s3PathStyle, "false"}, nil, "https://r2 us-east-1 virtual default"},
		{"the same in delta-rs's words", []string{s3Endpoint, "https://r2", s3VirtualHosted, "true"}, nil, "https://r2 us-east-1 virtual default"},
		{"paths at AWS", []string{s3PathStyle, "true"}, nil, " - path default"},
		{"the same in delta-rs's words", []string{s3VirtualHosted, "FALSE"}, nil, " - path default"},
		{"both, and they agree", []string{s3PathStyle, "true", s3VirtualHosted, "false"}, nil, " - path default"},
		// logins
		{"a profile", []string{s3Profile, "p"}, nil, " - virtual profile"},
		{"a web identity", []string{s3TokenFile, "/token", s3RoleARN, "arn"}, nil, " - virtual web"},
		{"a role for the environment's token", []string{s3RoleARN, "arn"}, []string{"AWS_WEB_IDENTITY_TOKEN_FILE", "/token"}, " - virtual web"},
		{"no signature", []string{s3SkipSignature, "true"}, nil, " - virtual anonymous"},
		{"a signature after all", append(keys, s3SkipSignature, "false"), nil, " - virtual static"},
		{"Hadoop's default chain", append(keys, s3Providers, "org.apache.hadoop.fs.s3a.TemporaryAWSCredentialsProvider,\n org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider, "+
			"software.amazon.awssdk.auth.credentials.EnvironmentVariableCredentialsProvider org.apache.hadoop.fs.s3a.auth.IAMInstanceCredentialsProvider"), nil,
			" - virtual static,environment,instance"},
		{"the same without keys", []string{s3Providers, "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider, com.amazonaws.auth.InstanceProfileCredentialsProvider"}, nil,
			" - virtual static,instance"},
		{"AWS's of version 1", []string{s3Providers, "com.amazonaws.auth.WebIdentityTokenCredentialsProvider"},
			[]string{"AWS_WEB_IDENTITY_TOKEN_FILE", "/t", "AWS_ROLE_ARN", "arn"}, " - virtual web"},
		{"a profile's", []string{s3Providers, "com.amazonaws.auth.profile.ProfileCredentialsProvider", s3Profile, "p"}, nil, " - virtual profile"},
		{"no login", []string{s3Providers, "org.apache.hadoop.fs.s3a.AnonymousAWSCredentialsProvider"}, nil, " - virtual anonymous"},
		{"AWS's default", []string{s3Providers, "software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider"}, nil, " - virtual default"},
		{"what silt does anyway", []string{s3Conditional, "ETag"}, nil, " - virtual default"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, problems := s3Settings(s3FakePlace, s3Given(test.given...), s3Env(test.env...))
			if len(problems) > 0 {
				t.Fatal(problems[0])
			}
			style := map[bool]string{true: "path", false: "virtual"}[c.pathStyle]
			region := c.region
			if region == "" {
				region = "-"
			}
			var sources []string
			for _, s := range c.auth.sources {
				sources = append(sources, s.String())
			}
			if got := fmt.Sprintf("%s %s %s %s", c.endpoint, region, style, strings.Join(sources, ",")); got != test.want {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestS3SettingsThatAreWrong(t *testing.T) {
	for _, test := range []struct {
		given []string
		code  problem.Code
		text  string // in message or hint
	}{
		{[]string{s3AccessKey, "id"}, problem.MissingOption, "fs.s3a.secret.key is missing"},
		{[]string{s3SecretKey, "canary"}, problem.MissingOption, "fs.s3a.access.key is missing"},
		{[]string{s3SessionToken, "canary"}, problem.MissingOption, "fs.s3a.access.key is missing"},
		{[]string{s3TokenFile, "/t"}, problem.MissingOption, "aws_role_arn is missing"},
		{[]string{s3RoleARN, "arn"}, problem.MissingOption, "aws_web_identity_token_file is missing"},
		{[]string{s3Providers, "SimpleAWSCredentialsProvider"}, problem.MissingOption, "fs.s3a.access.key is missing"},
		{[]string{s3AccessKey, "id", s3SecretKey, "canary", s3Profile, "p"}, problem.Conflict, "fs.s3a.auth.profile.name is one login too many"},
		{[]string{s3AccessKey, "id", s3SecretKey, "canary", s3SkipSignature, "true"}, problem.Conflict, "aws_skip_signature is true"},
		{[]string{s3AccessKey, "id", s3SecretKey, "canary", s3Providers, "IAMInstanceCredentialsProvider"}, problem.Conflict, "no provider in"},
		{[]string{s3Providers, "AnonymousAWSCredentialsProvider,IAMInstanceCredentialsProvider"}, problem.Conflict, "does not sign beside others"},
		{[]string{s3Providers, "org.apache.hadoop.fs.s3a.auth.AssumedRoleCredentialProvider"}, problem.Unsupported, "source_profile"},
		{[]string{s3Providers, "com.example.SimpleAWSCredentialsProvider"}, problem.Unsupported, "does not know the provider com.example.SimpleAWSCredentialsProvider"},
		{[]string{s3Providers, "SimpleAWSCredentialProvider"}, problem.Unsupported, "did you mean SimpleAWSCredentialsProvider?"},
		{[]string{s3Providers, " , "}, problem.InvalidValue, "names no provider"},
		{[]string{s3Endpoint, "http://minio:9000"}, problem.Insecure, "allow_http: true"},
		{[]string{s3Endpoint, "minio:9000", s3SSL, "false"}, problem.Insecure, "minio:9000"},
		{[]string{s3SSL, "false"}, problem.Insecure, "plain http"},
		{[]string{s3Endpoint, "ftp://minio"}, problem.InvalidValue, "want https://HOST"},
		{[]string{s3Endpoint, "https://user:canary@minio"}, problem.InvalidValue, "want https://HOST"},
		{[]string{s3Endpoint, "https://minio/?a=b"}, problem.InvalidValue, "want https://HOST"},
		{[]string{s3Endpoint, "https://"}, problem.InvalidValue, "want https://HOST"},
		{[]string{s3PathStyle, "true", s3VirtualHosted, "true"}, problem.Conflict, "say the opposite"},
		{[]string{s3PathStyle, "yes"}, problem.InvalidValue, "want true or false"},
		{[]string{s3Conditional, "dynamo:table"}, problem.Unsupported, "want etag"},
		{[]string{s3Conditional, "disabled"}, problem.Unsupported, "want etag"},
		{[]string{s3SSE, "SSE-C"}, problem.Unsupported, "use aws:kms"},
		{[]string{s3SSE, "CSE-KMS"}, problem.Unsupported, "use aws:kms"},
		{[]string{s3SSE, "rot13"}, problem.InvalidValue, "want AES256"},
		{[]string{s3SSEKey, "arn"}, problem.Conflict, "is not aws:kms"},
		{[]string{s3SSE, "AES256", s3SSEBucketKey, "true"}, problem.Conflict, "is not aws:kms"},
	} {
		t.Run(strings.Join(test.given, " "), func(t *testing.T) {
			g := s3Given(test.given...)
			for name, v := range g { // as options that are secrets come
				if strings.Contains(v.Text, "canary") && name != s3Endpoint {
					g[name] = option.Value{Key: name, IsSecret: true, Secret: secret.New(v.Text)}
				}
			}
			c, problems := s3Settings(s3FakePlace, g, noEnv)
			if len(problems) != 1 || problems[0].Code != test.code || !strings.Contains(problems[0].Message+problems[0].Hint, test.text) {
				t.Errorf("got %v, want one %s with %q", problems, test.code, test.text)
			}
			if strings.Contains(fmt.Sprintf("%v %+v %#v", problems, c, c), "canary") {
				t.Error("a secret is printed")
			}
		})
	}
}

// TestS3SourcesHaveNames so that the table above can say them.
func TestS3ClassesAreOfKnownSources(t *testing.T) {
	for _, class := range slices.Sorted(maps.Keys(s3Classes)) {
		for _, pkg := range s3Packages {
			full := strings.TrimPrefix(pkg+"."+class, ".")
			r := &s3Reader{newReader(s3Given(s3Providers, full), noEnv)}
			if sources, ok := r.providers(); !ok || len(r.Reported()) > 0 || len(sources) != 1 || sources[0] != s3Classes[class] {
				t.Errorf("%s: got %v, %v", full, sources, r.Reported())
			}
		}
	}
}
