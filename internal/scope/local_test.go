package scope

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/siltlake/silt/internal/filelock"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

const passphrase = "canary-passphrase"

// localSet is a Set with a local store that is cheap to open.
func localSet(t *testing.T, file string, e Env, lines ...string) *Set {
	t.Helper()
	e.LocalFile = file
	if e.Getenv == nil {
		e.Getenv = env(map[string]string{passphraseVariable: passphrase})
	}
	s := declare(t, e, lines...)
	s.local.work = 2
	return s
}

func put(s *Set, scope, key, value string) error {
	_, err := s.Put(Edit{Scope: scope, Key: key}, secret.New(value))
	return err
}

func TestTheLocalStoreKeepsSecrets(t *testing.T) {
	file := filepath.Join(t.TempDir(), "silt", "secrets.age")
	for _, e := range [][2]string{
		{"confluentTest/api-key", "first"},
		{"confluenttest/api-key", canary}, // the same scope
		{"confluentTest/a/b-c", "line\nbreak\n"},
		{"adls/key", "k"},
	} {
		scope, key, _ := strings.Cut(e[0], "/")
		if err := put(localSet(t, file, Env{}), scope, key, e[1]); err != nil {
			t.Fatal(err)
		}
	}
	s := localSet(t, file, Env{})
	for name, want := range map[string]string{"CONFLUENTTEST/api-key": canary, "confluentTest/a/b-c": "line\nbreak\n", "adls/key": "k"} {
		scope, key, _ := strings.Cut(name, "/")
		if got, p := s.Secret(t.Context(), scope, key); got != want || p != nil {
			t.Errorf("%s: got %q, %v", name, got, p)
		}
	}
	listed, err := s.List(t.Context(), "")
	if got := fmt.Sprint(listed); err != nil || got != fmt.Sprintf("[{adls the local store %s [key] <nil>} {confluentTest the local store %[1]s [a/b-c api-key] <nil>}]", file) {
		t.Errorf("got %s, %v", got, err)
	}

	data, err := os.ReadFile(file)
	if err != nil || bytes.Contains(data, []byte(canary)) || bytes.Contains(data, []byte("confluent")) {
		t.Errorf("the file is not encrypted: %v", err)
	}
	if info, _ := os.Stat(file); runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if err := s.Delete(Edit{Scope: "adls", Key: "key"}); err != nil {
		t.Fatal(err)
	}
	if _, p := s.Secret(t.Context(), "adls", "key"); p == nil || !strings.Contains(p.Message, `unknown scope "adls"`) {
		t.Errorf("got %v", p)
	}
	entries, _ := os.ReadDir(filepath.Dir(file))
	if len(entries) != 2 { // the store and its lock
		t.Errorf("left %v", entries)
	}
}

func TestADryRunLeavesTheLocalStoreAsItIs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "silt", "secrets.age")
	dry := Edit{Scope: "s", Key: "k", DryRun: true}
	asked := Env{Ask: func(bool) (secret.Secret, error) { return secret.Secret{}, errors.New("asked") }, Getenv: env(nil)}
	if replaced, err := localSet(t, file, asked).Put(dry, secret.New("v")); replaced || err != nil {
		t.Errorf("without a store: %v, %v", replaced, err)
	}
	if _, err := os.Stat(filepath.Dir(file)); err == nil {
		t.Error("it made the folder of the store")
	}
	if err := put(localSet(t, file, Env{}), "s", "k", "v"); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := localSet(t, file, Env{})
	if replaced, err := s.Put(dry, secret.New("w")); !replaced || err != nil {
		t.Errorf("a key that is there: %v, %v", replaced, err)
	}
	if err := s.Delete(dry); err != nil {
		t.Error(err)
	}
	if after, err := os.ReadFile(file); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the store is another one: %v", err)
	}
}

func TestTheLocalStoreRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secrets.age")
	if err := put(localSet(t, file, Env{}), "s", "api-key", canary); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	keyFile := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(keyFile, []byte("# a comment\n"+key.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	notKey := filepath.Join(t.TempDir(), "not-key")
	if err := os.WriteFile(notKey, []byte(canary+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		env  map[string]string
		data []byte
		key  string
		want string
	}{
		{"a wrong passphrase", map[string]string{passphraseVariable: "wrong"}, good, "api-key", "cannot be opened with this passphrase"},
		{"a key file for a passphrase", map[string]string{keyFileVariable: keyFile}, good, "api-key", "cannot be opened with this key file"},
		{"no key file", map[string]string{keyFileVariable: notKey}, good, "api-key", "is no key file of age"},
		{"a key file that is not there", map[string]string{keyFileVariable: keyFile + "x"}, good, "api-key", "cannot be read"},
		{"nobody to ask", map[string]string{}, good, "api-key", "nobody to ask"},
		{"a passphrase file that is not there", map[string]string{passphraseFileVariable: keyFile + "x"}, good, "api-key", "passphrase file"},
		{"no such key", map[string]string{passphraseVariable: passphrase}, good, "api-kye", "has no such key"},
		{"cut off", map[string]string{passphraseVariable: passphrase}, good[:len(good)-5], "api-key", "is damaged"},
		{"not age's", map[string]string{passphraseVariable: passphrase}, []byte(canary), "api-key", "is damaged"},
		{"empty", map[string]string{passphraseVariable: passphrase}, nil, "api-key", "is damaged"},
	}
	for _, tt := range tests {
		if err := os.WriteFile(file, tt.data, 0o600); err != nil {
			t.Fatal(err)
		}
		s := localSet(t, file, Env{Getenv: env(tt.env)}, "scopes.s.local: default")
		_, p := s.Secret(t.Context(), "s", tt.key)
		if p == nil || !strings.Contains(p.Message, tt.want) {
			t.Errorf("%s: got %v", tt.name, p)
			continue
		}
		if all := p.Error() + p.Hint + p.Why; strings.Contains(all, "canary") || strings.Contains(all, key.String()) {
			t.Errorf("%s: a secret is told: %s", tt.name, all)
		}
		// Nothing is written over what cannot be read.
		err := put(s, "s", "x", "y")
		if now, _ := os.ReadFile(file); tt.name != "no such key" && (err == nil || !bytes.Equal(now, tt.data)) {
			t.Errorf("%s: put gave %v", tt.name, err)
		}
	}
}

func TestTheLocalStoreOpensWithAKeyFile(t *testing.T) {
	dir := t.TempDir()
	for _, kind := range []string{"x25519", "hybrid"} {
		var text string
		if kind == "hybrid" {
			i, err := age.GenerateHybridIdentity()
			if err != nil {
				t.Fatal(err)
			}
			text = i.String()
		} else {
			i, err := age.GenerateX25519Identity()
			if err != nil {
				t.Fatal(err)
			}
			text = i.String()
		}
		keyFile, file := filepath.Join(dir, kind), filepath.Join(dir, kind+".age")
		if err := os.WriteFile(keyFile, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		e := Env{Getenv: env(map[string]string{keyFileVariable: keyFile, passphraseVariable: "not asked"})}
		if err := put(localSet(t, file, e), "s", "k", canary); err != nil {
			t.Fatal(err)
		}
		if got, p := localSet(t, file, e).Secret(t.Context(), "s", "k"); got != canary || p != nil {
			t.Errorf("%s: got %q, %v", kind, got, p)
		}
	}
}

func TestThePassphraseIsAskedForOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secrets.age")
	var asked []bool
	var scrubber secret.Scrubber
	e := Env{Getenv: env(nil), Secrets: &scrubber, Ask: func(isNew bool) (secret.Secret, error) {
		asked = append(asked, isNew)
		return secret.New(passphrase), nil
	}}
	s := localSet(t, file, e)
	for range 2 {
		if err := put(s, "s", "k", canary); err != nil {
			t.Fatal(err)
		}
	}
	if _, p := s.Secret(t.Context(), "s", "k"); p != nil {
		t.Error(p)
	}
	if fmt.Sprint(asked) != "[true]" || scrubber.String(passphrase) != secret.Redacted {
		t.Errorf("asked %v, printed %s", asked, scrubber.String(passphrase))
	}
	e.Ask = func(bool) (secret.Secret, error) { return secret.Secret{}, errors.New("interrupted") }
	if _, p := localSet(t, file, e, "scopes.s.local: default").Secret(t.Context(), "s", "k"); p == nil || !strings.Contains(p.Message, "interrupted") {
		t.Errorf("got %v", p)
	}
}

func TestAChangedStoreIsReadAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secrets.age")
	one, other := localSet(t, file, Env{}), localSet(t, file, Env{})
	for i := range 3 {
		value := fmt.Sprint("value-", i)
		if err := put(other, "s", "k", value); err != nil {
			t.Fatal(err)
		}
		if got, p := one.Secret(t.Context(), "s", "k"); got != value || p != nil {
			t.Errorf("got %q, %v", got, p)
		}
	}
}

func TestOneProcessAtATimeChangesTheStore(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secrets.age")
	lock, err := os.Create(file + ".lock")
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := filelock.Try(lock); err != nil {
		t.Fatal(err)
	}
	err = put(localSet(t, file, Env{}), "s", "k", canary)
	if err == nil || !strings.Contains(err.Error(), "another silt") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the store was written: %v", err)
	}
}

func TestAStoreThatOthersCanReadIsWarnedOf(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secrets.age")
	if err := put(localSet(t, file, Env{}), "s", "k", canary); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	if _, p := localSet(t, file, Env{Log: slog.New(slog.NewTextHandler(&log, nil))}).Secret(t.Context(), "s", "k"); p != nil {
		t.Error(p)
	}
	if warned, hasModes := strings.Contains(log.String(), "chmod 600"), runtime.GOOS != "windows"; warned != hasModes {
		t.Errorf("logged %q", log.String())
	}
}

func TestOnlyTheLocalStoreIsChanged(t *testing.T) {
	s := localSet(t, filepath.Join(t.TempDir(), "secrets.age"), Env{}, "scopes.kv.keyvault: https://"+vaultHost, "scopes.v.vault: https://v.example",
		"scopes.d.dir: /run/secrets", "scopes.e.env: CONFLUENT_")
	for name, want := range map[string]string{
		"kv/k": "az keyvault secret set --vault-name confluenttest --name k", "v/app#f": "vault kv patch -mount=secret app f=-",
		"d/k": "write the file " + filepath.Join("/run/secrets", "k"), "e/api-key": "CONFLUENT_API_KEY", "bad scope/k": "", "s/": "", "s/a\x00b": "", "s/a}b": "",
		"s/k=" + canary: "silt secret set s/KEY < FILE", "v/k=" + canary: "silt secret set v/KEY < FILE",
	} {
		scope, key, _ := strings.Cut(name, "/")
		err := put(s, scope, key, canary)
		p := problem.Of(err)
		if len(p) != 1 || p[0].Code != problem.Usage || !strings.Contains(p[0].Hint, want) {
			t.Errorf("%s: got %v", name, err)
		}
		if strings.Contains(fmt.Sprint(err), canary) {
			t.Errorf("%s: the value is told", name)
		}
		if err := s.Delete(Edit{Scope: scope, Key: key}); err == nil {
			t.Errorf("%s was deleted", name)
		}
	}
}

func TestWhatWasReadIsForgottenInTime(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secrets.age")
	now := time.Unix(1e9, 0)
	s := localSet(t, file, Env{Now: func() time.Time { return now }})
	if err := put(s, "s", "k", canary); err != nil {
		t.Fatal(err)
	}
	first, err := s.local.read()
	again, err2 := s.local.read()
	now = now.Add(keptFor)
	later, err3 := s.local.read()
	if err := errors.Join(err, err2, err3); err != nil || first != again || first == later {
		t.Errorf("%p %p %p, %v", first, again, later, err)
	}
}
