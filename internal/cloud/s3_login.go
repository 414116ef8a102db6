package cloud

import (
	"maps"
	"slices"
	"strings"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

// An s3Source is one place where credentials can come from.
type s3Source uint8

const (
	s3Default     s3Source = iota // what the AWS SDK finds
	s3Static                      // the options' keys
	s3Environment                 // AWS_ACCESS_KEY_ID, ...
	s3FromProfile
	s3WebIdentity
	s3Instance // the container's or the machine's role
	s3Anonymous
)

// s3Classes are the providers that Hadoop's fs.s3a.aws.credentials.provider names, without their packages: hadoop-aws's own (Hadoop's
// "Authenticating with S3"), and those of AWS's SDKs for Java.
var s3Classes = map[string]s3Source{
	"SimpleAWSCredentialsProvider":            s3Static,
	"TemporaryAWSCredentialsProvider":         s3Static,
	"AnonymousAWSCredentialsProvider":         s3Anonymous,
	"AnonymousAWSCredentials":                 s3Anonymous,
	"AnonymousCredentialsProvider":            s3Anonymous,
	"EnvironmentVariableCredentialsProvider":  s3Environment,
	"IAMInstanceCredentialsProvider":          s3Instance,
	"InstanceProfileCredentialsProvider":      s3Instance,
	"ContainerCredentialsProvider":            s3Instance,
	"EC2ContainerCredentialsProviderWrapper":  s3Instance,
	"WebIdentityTokenCredentialsProvider":     s3WebIdentity,
	"WebIdentityTokenFileCredentialsProvider": s3WebIdentity,
	"ProfileAWSCredentialsProvider":           s3FromProfile,
	"ProfileCredentialsProvider":              s3FromProfile,
	"DefaultAWSCredentialsProviderChain":      s3Default,
	"DefaultCredentialsProvider":              s3Default,
}

// s3Packages are the packages of s3Classes.
var s3Packages = []string{"", "org.apache.hadoop.fs.s3a", "org.apache.hadoop.fs.s3a.auth", "com.amazonaws.auth", "com.amazonaws.auth.profile",
	"software.amazon.awssdk.auth.credentials"}

// An s3Auth says where credentials come from, in order.
type s3Auth struct {
	sources              []s3Source
	keyID, key, token    secret.Secret
	profile, profileFile string
	// Those of a web identity that are empty are the environment's.
	tokenFile, role, session string
}

// anonymous says that requests are not signed.
func (a s3Auth) anonymous() bool { return slices.Equal(a.sources, []s3Source{s3Anonymous}) }

// s3Needs are the options that one source has, the one that it cannot do without first.
var s3Needs = []struct {
	source  s3Source
	options []string
}{
	{s3Static, []string{s3AccessKey, s3SecretKey, s3SessionToken}},
	{s3FromProfile, []string{s3Profile, s3ProfileFile}},
	{s3WebIdentity, []string{s3TokenFile, s3RoleARN, s3RoleSession}},
}

// login reads where credentials come from. Options of a login that would not be used are an error, and so is half of one.
func (r *s3Reader) login() s3Auth {
	a := s3Auth{
		keyID: r.Secret(s3AccessKey), key: r.Secret(s3SecretKey), token: r.Secret(s3SessionToken),
		profile: r.text(s3Profile), profileFile: r.text(s3ProfileFile),
		tokenFile: r.text(s3TokenFile), role: r.text(s3RoleARN), session: r.text(s3RoleSession),
	}
	listed, isListed := r.providers()
	a.sources = listed
	for _, need := range s3Needs {
		v, given := r.value(need.options...)
		switch {
		case !given:
		case isListed && !slices.Contains(listed, need.source):
			r.Report(v, problem.Conflict, "%s is given, and no provider in %s uses it", v.Key, s3Providers).Fix("remove one of them")
		case !isListed && len(a.sources) > 0:
			r.Report(v, problem.Conflict, "%s is one login too many", v.Key).Fix("leave one: keys, a profile, a web identity or aws_skip_signature")
		case !isListed:
			a.sources = []s3Source{need.source}
		}
	}
	if skip, ok := r.value(s3SkipSignature); ok && r.Bool(s3SkipSignature, false) {
		if len(a.sources) > 0 && !a.anonymous() {
			r.Report(skip, problem.Conflict, "%s is true, and there is a login", skip.Key).Fix("remove one of them")
		}
		a.sources = []s3Source{s3Anonymous}
	}
	if len(a.sources) == 0 {
		a.sources = []s3Source{s3Default}
	}
	r.whole(a, isListed)
	return a
}

// whole reports what is missing of a login.
func (r *s3Reader) whole(a s3Auth, isListed bool) {
	missing := func(name, hint string) {
		v, _ := r.value(append(s3Needs[0].options, s3TokenFile, s3RoleARN, s3RoleSession, s3Providers)...)
		r.Report(v, problem.MissingOption, "%s is missing", name).Fix("%s", hint)
	}
	switch keys := "give the id of the key and the key itself"; {
	case !slices.Contains(a.sources, s3Static):
	case a.keyID.IsZero() && a.key.IsZero() && a.token.IsZero() && isListed && len(a.sources) > 1: // others may have some
	case a.keyID.IsZero():
		missing(s3AccessKey, keys)
	case a.key.IsZero():
		missing(s3SecretKey, keys)
	}
	if slices.Contains(a.sources, s3WebIdentity) && len(a.sources) == 1 {
		for _, need := range []struct{ text, option, variable string }{
			{a.tokenFile, s3TokenFile, "AWS_WEB_IDENTITY_TOKEN_FILE"}, {a.role, s3RoleARN, "AWS_ROLE_ARN"},
		} {
			if need.text == "" && r.env.variable(need.variable) == "" {
				missing(need.option, "a web identity is a token in a file and the role that it takes")
			}
		}
	}
}

// providers reads fs.s3a.aws.credentials.provider.
func (r *s3Reader) providers() (sources []s3Source, ok bool) {
	v, ok := r.value(s3Providers)
	if !ok {
		return nil, false
	}
	split := func(c rune) bool { return c == ',' || c == ' ' || c == '\t' || c == '\n' || c == '\r' }
	for _, class := range strings.FieldsFunc(v.Reveal(), split) {
		pkg, name := "", class
		if i := strings.LastIndexByte(class, '.'); i >= 0 {
			pkg, name = class[:i], class[i+1:]
		}
		source, known := s3Classes[name]
		switch {
		case known && slices.Contains(s3Packages, pkg):
			if !slices.Contains(sources, source) {
				sources = append(sources, source)
			}
		case name == "AssumedRoleCredentialProvider":
			r.Report(v, problem.Unsupported, "%s: %s is not supported", v.Key, class).
				Fix("name the role in a profile (role_arn and source_profile in ~/.aws/config) and the profile by aws_profile")
		default:
			q := r.Report(v, problem.Unsupported, "%s: silt does not know the provider %s", v.Key, class)
			q.Fix("remove it: silt finds credentials as the AWS SDKs do, and in fs.s3a.access.key and fs.s3a.secret.key")
			if near := problem.Nearest(name, slices.Sorted(maps.Keys(s3Classes))); near != "" {
				q.Fix("did you mean %s?", near)
			}
		}
	}
	if len(sources) == 0 && len(r.Reported()) == 0 {
		r.Report(v, problem.InvalidValue, "%s names no provider", v.Key).Fix("remove it, or name a class")
	}
	if len(sources) > 1 && slices.Contains(sources, s3Anonymous) {
		r.Report(v, problem.Conflict, "%s has a provider that does not sign beside others", v.Key).Fix("leave it alone, or leave it out")
	}
	return sources, true
}
