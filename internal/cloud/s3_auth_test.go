package cloud

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

// signedBy makes the fake take the requests of one key only and with one session token, as S3 does with the codes that it has for that.
func (f *s3Fake) signedBy(id, token string) {
	f.refuse = func(_ string, w http.ResponseWriter, r *http.Request) bool {
		switch {
		case !strings.Contains(r.Header.Get("Authorization"), "Credential="+id+"/"):
			s3Answer(w, http.StatusForbidden, "InvalidAccessKeyId")
			return true
		case r.Header.Get("X-Amz-Security-Token") != token:
			s3Answer(w, http.StatusBadRequest, "ExpiredToken")
			return true
		}
		return false
	}
}

// credentialsServer is what gives credentials: a token service, an agent of containers, a machine's metadata service.
func credentialsServer(t *testing.T, answer func(w http.ResponseWriter, r *http.Request)) *httptest.Server {
	srv := httptest.NewServer(http.HandlerFunc(answer))
	t.Cleanup(srv.Close)
	return srv
}

func jsonCredentials(id string) string {
	return fmt.Sprintf(`{"Code":"Success","AccessKeyId":%q,"SecretAccessKey":"canary-key","Token":"canary-token","Expiration":%q}`, id,
		time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
}

func TestS3Logins(t *testing.T) {
	sts := credentialsServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("Action") != "AssumeRoleWithWebIdentity" || r.FormValue("WebIdentityToken") != "jwt" || r.FormValue("RoleArn") != "arn:aws:iam::1:role/r" ||
			r.FormValue("RoleSessionName") != "silt" {
			t.Errorf("asked for %v", r.Form)
		}
		_, _ = fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>WEB</AccessKeyId>`+
			`<SecretAccessKey>canary-key</SecretAccessKey><SessionToken>canary-token</SessionToken><Expiration>%s</Expiration></Credentials>`+
			`</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	})
	t.Setenv("AWS_ENDPOINT_URL_STS", sts.URL) // the SDK's own
	agent := credentialsServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "agent-token" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte(jsonCredentials("CONTAINER")))
	})
	machine := credentialsServer(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/latest/api/token":
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "600")
			_, _ = w.Write([]byte("session"))
		case r.Header.Get("X-Aws-Ec2-Metadata-Token") != "session":
			w.WriteHeader(http.StatusUnauthorized)
		case strings.HasSuffix(r.URL.Path, "/security-credentials/"):
			_, _ = w.Write([]byte("role"))
		case strings.HasSuffix(r.URL.Path, "/security-credentials/role"):
			_, _ = w.Write([]byte(jsonCredentials("MACHINE")))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
	token, agentToken := writeFile(t, "token", "jwt"), writeFile(t, "agent", "agent-token\n")
	profile := writeFile(t, "credentials", "[default]\naws_access_key_id = DEFAULT\naws_secret_access_key = canary-key\n"+
		"[p]\naws_access_key_id = PROFILE\naws_secret_access_key = canary-key\naws_session_token = canary-token\n")
	for _, test := range []struct {
		name      string
		given     given
		env       Env
		id, token string
	}{
		{"keys of the file", s3Given(s3AccessKey, "FILE", s3SecretKey, "canary-key"), s3Env("AWS_ACCESS_KEY_ID", "x", "AWS_SECRET_ACCESS_KEY", "y"), "FILE", ""},
		{"temporary keys of the file", s3Given(s3AccessKey, "FILE", s3SecretKey, "canary-key", s3SessionToken, "canary-token"), noEnv, "FILE", "canary-token"},
		{"the environment", given{}, s3Env("AWS_ACCESS_KEY_ID", "ENV", "AWS_SECRET_ACCESS_KEY", "canary-key", "AWS_SESSION_TOKEN", "canary-token"), "ENV", "canary-token"},
		{"a profile of the file", s3Given(s3Profile, "p"), s3Env("AWS_SHARED_CREDENTIALS_FILE", profile, "AWS_ACCESS_KEY_ID", "x", "AWS_SECRET_ACCESS_KEY", "y"), "PROFILE", "canary-token"},
		{"a profile and its file", s3Given(s3Profile, "p", s3ProfileFile, profile), noEnv, "PROFILE", "canary-token"},
		{"a profile of the environment", given{}, s3Env("AWS_SHARED_CREDENTIALS_FILE", profile, "AWS_PROFILE", "p"), "PROFILE", "canary-token"},
		{"the default profile", given{}, s3Env("AWS_SHARED_CREDENTIALS_FILE", profile), "DEFAULT", ""},
		{"a web identity of the file", s3Given(s3TokenFile, token, s3RoleARN, "arn:aws:iam::1:role/r"), noEnv, "WEB", "canary-token"},
		{"a web identity of the environment", given{}, s3Env("AWS_WEB_IDENTITY_TOKEN_FILE", token, "AWS_ROLE_ARN", "arn:aws:iam::1:role/r"), "WEB", "canary-token"},
		{"the container's role", s3Given(s3Providers, "ContainerCredentialsProvider"),
			s3Env("AWS_CONTAINER_CREDENTIALS_FULL_URI", agent.URL, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", agentToken), "CONTAINER", "canary-token"},
		{"the machine's role", s3Given(s3Providers, "IAMInstanceCredentialsProvider"), s3Env("AWS_EC2_METADATA_SERVICE_ENDPOINT", machine.URL), "MACHINE", "canary-token"},
		{"the first of a chain that has some", s3Given(s3Providers, "SimpleAWSCredentialsProvider,EnvironmentVariableCredentialsProvider,IAMInstanceCredentialsProvider"),
			s3Env("AWS_EC2_METADATA_SERVICE_ENDPOINT", machine.URL), "MACHINE", "canary-token"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newS3Fake(t)
			f.signedBy(test.id, test.token)
			test.env.Secrets = &secret.Scrubber{}
			b, err := f.open(t, test.given, test.env)
			if err != nil {
				t.Fatal(err)
			}
			if err := b.put(background, "key", pieces{[]byte("x")}, true); err != nil {
				t.Fatal(err)
			}
			if text := test.env.Secrets.String("canary-key canary-token"); strings.Contains(text, "canary-key") || test.token != "" && strings.Contains(text, "canary-token") {
				t.Errorf("the scrubber leaves %q", text)
			}
			if text := fmt.Sprintf("%+v %#v", b.login.config, b.login.config); strings.Contains(text, "canary") {
				t.Errorf("a secret is printed: %s", text)
			}
		})
	}
}

func TestS3WithoutASignature(t *testing.T) {
	f := newS3Fake(t)
	f.objects["table/key"] = s3FakeObject{data: []byte("x")}
	signed := false
	f.refuse = func(_ string, _ http.ResponseWriter, r *http.Request) bool {
		signed = signed || r.Header.Get("Authorization") != ""
		return false
	}
	b, err := f.open(t, s3Given(s3SkipSignature, "true"), s3Env("AWS_ACCESS_KEY_ID", "x", "AWS_SECRET_ACCESS_KEY", "y"))
	if err != nil {
		t.Fatal(err)
	}
	body, _, err := b.get(background, "key", 0, -1)
	if err != nil || signed {
		t.Fatalf("got %v, signed %t", err, signed)
	}
	if err := body.Close(); err != nil {
		t.Error(err)
	}
	if changed, err := b.renew(background); changed || err != nil {
		t.Errorf("renew: %t, %v", changed, err)
	}
}

// TestS3LoginsThatFail: a login that nobody gives is not the store's outage, and the service's outage is not a wrong login.
func TestS3LoginsThatFail(t *testing.T) {
	denied := credentialsServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprint(w, `<ErrorResponse><Error><Code>ExpiredTokenException</Code><Message>Token expired</Message></Error></ErrorResponse>`)
	})
	down := credentialsServer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	closed := credentialsServer(t, nil)
	closed.Close()
	token := writeFile(t, "token", "jwt")
	web := []string{"AWS_WEB_IDENTITY_TOKEN_FILE", token, "AWS_ROLE_ARN", "arn:aws:iam::1:role/r"}
	for _, test := range []struct {
		name  string
		sts   string
		given given
		env   Env
		want  kind
	}{
		{"no keys in the environment", "", s3Given(s3Providers, "EnvironmentVariableCredentialsProvider"), noEnv, loggedOut},
		{"the token service says no", denied.URL, given{}, s3Env(web...), loggedOut},
		{"the token service is down", down.URL, given{}, s3Env(web...), refused},
		{"the token service is not there", closed.URL, given{}, s3Env(web...), refused},
		{"the token's file is not there", denied.URL, s3Given(s3TokenFile, "/nonexistent/token", s3RoleARN, "arn"), noEnv, loggedOut},
		{"the machine's service is not there", "", s3Given(s3Providers, "IAMInstanceCredentialsProvider"), s3Env("AWS_EC2_METADATA_SERVICE_ENDPOINT", closed.URL), refused},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.sts != "" {
				t.Setenv("AWS_ENDPOINT_URL_STS", test.sts)
			}
			f := newS3Fake(t)
			b, err := f.open(t, test.given, test.env)
			if err != nil {
				t.Fatal(err)
			}
			err = b.put(background, "key", nil, true)
			if err == nil || b.failure(err).kind != test.want || len(f.seen) > 0 {
				t.Errorf("got %v, want kind %v", err, test.want)
			}
			if err != nil && !strings.HasPrefix(err.Error(), "PutObject: no credentials: ") {
				t.Errorf("got %q", err)
			}
		})
	}
}

func TestS3ProfileThatIsNotThere(t *testing.T) {
	f := newS3Fake(t)
	_, err := f.open(t, s3Given(s3Profile, "nobody"), noEnv)
	if p := problem.Of(err); len(p) != 1 || p[0].Code != problem.InvalidValue {
		t.Errorf("got %v", err)
	}
}

func TestS3RegionOfNobody(t *testing.T) {
	for _, test := range []struct {
		config string // ~/.aws/config
		want   string // "": a problem
	}{
		{"", ""},
		{"[default]\nregion = eu-west-3\n", "eu-west-3"},
	} {
		env := s3Env("AWS_CONFIG_FILE", writeFile(t, "config", test.config))
		c, problems := s3Settings(s3FakePlace, s3Given(s3AccessKey, "id", s3SecretKey, "key"), env)
		if len(problems) > 0 {
			t.Fatal(problems[0])
		}
		b, err := newS3(background, c, env)
		if test.want == "" {
			if p := problem.Of(err); len(p) != 1 || p[0].Code != problem.MissingOption || !strings.Contains(p[0].Message, s3FakePlace.Text) {
				t.Errorf("got %v", err)
			}
		} else if err != nil || b.(*s3Backend).client.Options().Region != test.want {
			t.Errorf("got %v, %v, want region %s", b, err, test.want)
		}
	}
}

func TestS3ProfileWithAnInsecureEndpoint(t *testing.T) {
	env := s3Env("AWS_CONFIG_FILE", writeFile(t, "config", "[default]\nregion = a\nendpoint_url = http://minio:9000\n"))
	c, problems := s3Settings(s3FakePlace, s3Given(s3AccessKey, "id", s3SecretKey, "key"), env)
	if len(problems) > 0 {
		t.Fatal(problems[0])
	}
	if _, err := newS3(background, c, env); problem.ExitStatus(err) != problem.Insecure.Exit() || !strings.Contains(fmt.Sprint(err), "minio:9000") {
		t.Errorf("got %v", err)
	}
}

// TestS3RotatedKey: the file's key is rotated where it came from; the store reads it anew when the old one is refused.
func TestS3RotatedKey(t *testing.T) {
	now := "old-secret"
	origin := secret.Origin{Read: func(context.Context) (string, error) { return now, nil }}
	g := s3Given(s3SecretKey, "key")
	g[s3AccessKey] = option.Value{Key: s3AccessKey, IsSecret: true, Secret: secret.Renewable("old-secret", origin)}
	f := newS3Fake(t)
	b, err := f.open(t, g, noEnv)
	if err != nil {
		t.Fatal(err)
	}
	s := newStore(b, s3FakePlace, storeOptions{})
	f.signedBy("old-secret", "")
	if err := s.Put(background, "key", []byte("1")); err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	f.signedBy("new-secret", "")
	f.mu.Unlock()
	now = "new-secret"
	if err := s.Put(background, "key", []byte("2")); err != nil {
		t.Fatal(err)
	}
	if got := f.objects["table/key"].data; !bytes.Equal(got, []byte("2")) {
		t.Errorf("got %q", got)
	}
}

// TestS3RotatedProfile: the same for the files of the AWS SDKs, whose keys they keep for ever.
func TestS3RotatedProfile(t *testing.T) {
	text := "[default]\naws_access_key_id = %s\naws_secret_access_key = key\n"
	file := writeFile(t, "credentials", fmt.Sprintf(text, "OLD"))
	f := newS3Fake(t)
	f.signedBy("NEW", "")
	b, err := f.open(t, given{}, s3Env("AWS_SHARED_CREDENTIALS_FILE", file))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.put(background, "key", nil, false); b.failure(err).kind != loggedOut {
		t.Fatalf("with the old key: %v", err)
	}
	if changed, err := b.renew(background); changed || err != nil {
		t.Errorf("nothing is new: %t, %v", changed, err)
	}
	if err := os.WriteFile(file, fmt.Appendf(nil, text, "NEW"), 0o600); err != nil {
		t.Fatal(err)
	}
	if changed, err := b.renew(background); !changed || err != nil {
		t.Errorf("with a new key: %t, %v", changed, err)
	}
	if err := b.put(background, "key", nil, false); err != nil {
		t.Error(err)
	}
}
