package scope

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"filippo.io/age"

	"github.com/siltlake/silt/internal/filelock"
	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/secret"
)

// The variables that say how the local store is opened, in the order in which they count.
const (
	keyFileVariable        = "SILT_SECRETS_KEY_FILE"
	passphraseVariable     = "SILT_SECRETS_PASSPHRASE"
	passphraseFileVariable = "SILT_SECRETS_PASSPHRASE_FILE"
)

const (
	maxStoreBytes = 8 << 20
	storeVersion  = 1
	// maxWork bounds the work of a passphrase that a file may ask for, as a power of two: 2^20 takes seconds.
	maxWork = 20
	// keptFor is how long what was read counts for as long as the file does not change.
	keptFor = 10 * time.Second
)

// A localStore is a file of secrets, encrypted as age does (age-encryption.org/v1) with a passphrase or for the keys of a key file, and
// readable by its owner only. Its text is JSON, docs/secrets.md. It is replaced as a whole: a crash leaves the old one or the new one.
type localStore struct {
	file string
	env  Env
	work int // of a passphrase, as a power of two; 0 is age's

	reading sync.Mutex
	last    struct { // what was read, since a passphrase costs a second: a file with ten secrets shall not wait ten
		text  *storeText
		err   error // nor shall the user be asked ten times
		info  fs.FileInfo
		until time.Time
	}

	mu         sync.Mutex
	passphrase secret.Secret // once the user was asked
}

func newLocalStore(file string, env Env) *localStore { return &localStore{file: file, env: env} }

// A storeText is what the file holds.
type storeText struct {
	Version int                          `json:"version"`
	Scopes  map[string]map[string]string `json:"scopes"`
}

// A localScope is one scope of a store.
type localScope struct {
	store *localStore
	name  string
}

func (l *localStore) scope(name string) localScope { return localScope{l, name} }

func (s localScope) String() string          { return "the local store " + s.store.file }
func (s localScope) edit(_, _ string) string { return "" }

func (s localScope) get(_ context.Context, key string) (string, error) {
	text, err := s.store.read()
	if err != nil {
		return "", err
	}
	_, keys := text.scope(s.name)
	value, ok := keys[key]
	if !ok {
		return "", refuse(hintKeys(key, slices.Collect(maps.Keys(keys))), "%s has no such key", s)
	}
	return value, nil
}

func (s localScope) list(context.Context) ([]string, error) {
	text, err := s.store.read()
	if err != nil {
		return nil, err
	}
	_, keys := text.scope(s.name)
	return slices.Sorted(maps.Keys(keys)), nil
}

// scope returns the keys of a scope and its spelling in the file, which is that of the first secret.
func (t *storeText) scope(name string) (spelled string, keys map[string]string) {
	for n, keys := range t.Scopes {
		if strings.EqualFold(n, name) {
			return n, keys
		}
	}
	return name, nil
}

func (l *localStore) exists() bool {
	_, err := os.Stat(l.file)
	return err == nil
}

func (l *localStore) scopes() ([]string, error) {
	text, err := l.read()
	if err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(text.Scopes)), nil
}

// put sets a secret, and says whether it replaces one.
func (l *localStore) put(e Edit, value secret.Secret) (replaced bool, err error) {
	err = l.change(e.DryRun, func(t *storeText) error {
		scope, keys := t.scope(e.Scope)
		_, replaced = keys[e.Key]
		if keys == nil {
			keys = map[string]string{}
			t.Scopes[scope] = keys
		}
		keys[e.Key] = value.Reveal()
		return nil
	})
	return replaced, err
}

// remove deletes a secret, and its scope with the last one.
func (l *localStore) remove(e Edit) error {
	return l.change(e.DryRun, func(t *storeText) error {
		scope, keys := t.scope(e.Scope)
		if _, ok := keys[e.Key]; !ok {
			return refuse(hintKeys(e.Key, slices.Collect(maps.Keys(keys))), "%s has no such key", l.scope(scope))
		}
		if delete(keys, e.Key); len(keys) == 0 {
			delete(t.Scopes, scope)
		}
		return nil
	})
}

// change reads the store, changes it and writes it, while no other process does. A dry run writes nothing.
func (l *localStore) change(dryRun bool, do func(*storeText) error) error {
	if dryRun {
		_, err := l.changed(do)
		return err
	}
	if err := os.MkdirAll(filepath.Dir(l.file), 0o700); err != nil {
		return refuse("let your user write there", "the folder of the local store cannot be made: %v", option.Reason(err))
	}
	lock, err := os.OpenFile(l.file+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return refuse("let your user write there", "the local store cannot be locked: %v", option.Reason(err))
	}
	defer lock.Close()
	if err := filelock.Try(lock); errors.Is(err, filelock.ErrLocked) {
		return refuse("try again", "another silt changes the local store at this moment")
	} else if err != nil {
		return refuse("", "the local store cannot be locked: %v", option.Reason(err))
	}
	isNew := !l.exists()
	text, err := l.changed(do)
	if err != nil {
		return err
	}
	return l.write(text, isNew)
}

// changed reads the store and changes what it read. A store that is not there holds nothing.
func (l *localStore) changed(do func(*storeText) error) (text *storeText, err error) {
	text = &storeText{Version: storeVersion, Scopes: map[string]map[string]string{}}
	if l.exists() {
		if text, err = l.decrypt(); err != nil {
			return nil, err
		}
	}
	return text, do(text)
}

// read returns what the store holds, which must not be changed.
func (l *localStore) read() (*storeText, error) {
	l.reading.Lock()
	defer l.reading.Unlock()
	info, err := os.Stat(l.file)
	if err != nil {
		return l.decrypt() // which says why
	}
	if k := &l.last; k.info == nil || !os.SameFile(k.info, info) || !k.info.ModTime().Equal(info.ModTime()) || !l.env.Now().Before(k.until) {
		k.text, k.err = l.decrypt()
		k.info, k.until = info, l.env.Now().Add(keptFor)
	}
	return l.last.text, l.last.err
}

// decrypt reads the file.
func (l *localStore) decrypt() (*storeText, error) {
	data, err := option.ReadFile(l.file, maxStoreBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, refuse("silt secret set SCOPE/KEY makes it", "there is no local store %s", l.file)
	}
	if err != nil {
		return nil, refuse("", "the local store %s cannot be read: %v", l.file, err)
	}
	l.warnIfOpen()
	identities, _, err := l.keys(false)
	if err != nil {
		return nil, err
	}
	plain, err := age.Decrypt(bytes.NewReader(data), identities...)
	if err != nil {
		_, none := errors.AsType[*age.NoIdentityMatchError](err)
		if none || errors.Is(err, age.ErrIncorrectIdentity) {
			l.forget()
			return nil, refuse("give the passphrase or the key file with which it was made", "the local store %s cannot be opened with this %s",
				l.file, l.how())
		}
		return nil, refuse("put the file back from a copy", "the local store %s is damaged", l.file)
	}
	text := &storeText{}
	decoded, err := io.ReadAll(io.LimitReader(plain, maxStoreBytes))
	if err != nil || json.Unmarshal(decoded, text) != nil {
		return nil, refuse("put the file back from a copy", "the local store %s is damaged", l.file)
	}
	if text.Version != storeVersion {
		return nil, refuse("use the newer silt", "the local store %s has version %d, this silt knows %d", l.file, text.Version, storeVersion)
	}
	if text.Scopes == nil {
		text.Scopes = map[string]map[string]string{}
	}
	return text, nil
}

// write encrypts the store into a file of its own, and puts that in place of the old one.
func (l *localStore) write(text *storeText, isNew bool) (err error) {
	_, recipients, err := l.keys(isNew)
	if err != nil {
		return err
	}
	plain, err := json.Marshal(text)
	if err != nil {
		return err
	}
	if len(plain) > maxStoreBytes/2 {
		return refuse("delete some", "the local store would be larger than %s", option.FormatSize(maxStoreBytes/2))
	}
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, recipients...)
	if err == nil {
		_, err = w.Write(plain)
		err = errors.Join(err, w.Close())
	}
	if err != nil {
		return fmt.Errorf("encrypt the local store: %w", err)
	}
	if err := replace(l.file, sealed.Bytes()); err != nil {
		return refuse("", "the local store %s cannot be written: %v", l.file, option.Reason(err))
	}
	return nil
}

// replace writes a file, mode 0600, such that a crash leaves the old one or the new one.
func replace(name string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*.tmp") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), name); err != nil {
		return err
	}
	if dir, err := os.Open(filepath.Dir(name)); err == nil { // the rename itself
		_ = dir.Sync() // Windows cannot
		_ = dir.Close()
	}
	return nil
}

// warnIfOpen warns of a file that others can read: it is encrypted, but a passphrase can be guessed.
func (l *localStore) warnIfOpen() {
	if info, err := os.Stat(l.file); err == nil && info.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
		l.env.Log.Warn("the local store of secrets can be read by others", "file", l.file, "fix", "chmod 600 "+l.file)
	}
}

// how says what the store is opened with.
func (l *localStore) how() string {
	if file, ok := l.env.Getenv(keyFileVariable); ok && file != "" {
		return "key file"
	}
	return "passphrase"
}

// keys returns what decrypts the store and what encrypts it.
func (l *localStore) keys(isNew bool) ([]age.Identity, []age.Recipient, error) {
	if file, ok := l.env.Getenv(keyFileVariable); ok && file != "" {
		return keysOf(file)
	}
	passphrase, err := l.passphraseOf(isNew)
	if err != nil {
		return nil, nil, err
	}
	identity, err := age.NewScryptIdentity(passphrase.Reveal())
	if err != nil {
		return nil, nil, refuse("", "the passphrase of the local store is empty")
	}
	identity.SetMaxWorkFactor(maxWork)
	recipient, err := age.NewScryptRecipient(passphrase.Reveal())
	if err != nil {
		return nil, nil, refuse("", "the passphrase of the local store is empty")
	}
	if l.work > 0 {
		recipient.SetWorkFactor(l.work)
	}
	return []age.Identity{identity}, []age.Recipient{recipient}, nil
}

// keysOf reads a key file, as age-keygen writes it.
func keysOf(file string) ([]age.Identity, []age.Recipient, error) {
	text, err := option.ReadFile(file, MaxValueBytes)
	if err != nil {
		return nil, nil, refuse("correct "+keyFileVariable, "the key file %s cannot be read: %v", file, err)
	}
	identities, err := age.ParseIdentities(bytes.NewReader(text))
	if err != nil { // it may print a line
		return nil, nil, refuse("age-keygen -o FILE writes one", "%s is no key file of age", file)
	}
	var recipients []age.Recipient
	for _, i := range identities {
		switch i := i.(type) {
		case *age.X25519Identity:
			recipients = append(recipients, i.Recipient())
		case *age.HybridIdentity:
			recipients = append(recipients, i.Recipient())
		default:
			return nil, nil, refuse("age-keygen -o FILE writes one", "the key file %s has a key that silt does not know", file)
		}
	}
	return identities, recipients, nil
}

func (l *localStore) passphraseOf(isNew bool) (secret.Secret, error) {
	if text, ok := l.env.Getenv(passphraseVariable); ok && text != "" {
		return l.known(text), nil
	}
	if file, ok := l.env.Getenv(passphraseFileVariable); ok && file != "" {
		data, err := option.ReadFile(file, MaxValueBytes)
		if err != nil {
			return secret.Secret{}, refuse("correct "+passphraseFileVariable, "the passphrase file %s cannot be read: %v", file, err)
		}
		if text := option.Line(data); text != "" {
			return l.known(text), nil
		}
		return secret.Secret{}, refuse("", "the passphrase file %s is empty", file)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.passphrase.IsZero() {
		return l.passphrase, nil
	}
	hint := fmt.Sprintf("set %s, %s or %s", passphraseVariable, passphraseFileVariable, keyFileVariable)
	if l.env.Ask == nil {
		return secret.Secret{}, refuse(hint, "there is no passphrase for the local store %s, and nobody to ask", l.file)
	}
	p, err := l.env.Ask(isNew)
	if err != nil {
		return secret.Secret{}, refuse(hint, "there is no passphrase for the local store: %v", err)
	}
	if p.IsZero() {
		return secret.Secret{}, refuse(hint, "the passphrase of the local store is empty")
	}
	l.env.Secrets.Add(p)
	l.passphrase = p
	return p, nil
}

func (l *localStore) known(passphrase string) secret.Secret {
	s := secret.New(passphrase)
	l.env.Secrets.Add(s)
	return s
}

// forget makes the user be asked again.
func (l *localStore) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.passphrase = secret.Secret{}
}
