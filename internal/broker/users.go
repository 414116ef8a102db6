package broker

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"
	"sync"

	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

// A user is what may log in: a credential a mechanism. PLAIN is checked against either.
type user struct {
	SHA256 *credential `json:"scramSha256,omitempty"`
	SHA512 *credential `json:"scramSha512,omitempty"`
}

func (u *user) credential(mechanism string) **credential {
	if mechanism == mechScram512 {
		return &u.SHA512
	}
	return &u.SHA256
}

// users are those that may log in, and the file that holds them. Any method may be called concurrently.
type users struct {
	file string
	mu   sync.Mutex
	byID map[string]user
	// nobody is checked where a user is not known, so that the time of an answer does not tell names.
	nobody *credential
}

const (
	maxUsers     = 10_000
	maxNameBytes = 256
)

func openUsers(file string) (*users, error) {
	u := &users{file: file, byID: map[string]user{}}
	b, err := os.ReadFile(file)
	if err == nil {
		if err = json.Unmarshal(b, &u.byID); err != nil {
			return nil, problem.New(problem.CorruptState, "the users of the broker cannot be read").At(problem.File(file)).Because(err).
				Fix("restore the file, or remove it: the broker's own API key is then made known again, other users have to be added again")
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	u.nobody, err = newCredential(mechScram256, "")
	return u, err
}

// add makes a user known, or gives a known one another password.
func (u *users) add(name string, password secret.Secret) error {
	if name == "" || len(name) > maxNameBytes || password.IsZero() {
		return problem.New(problem.InvalidValue, "user %q: want a name of at most %d bytes and a password", name, maxNameBytes)
	}
	c256, err := newCredential(mechScram256, password.Reveal())
	if err != nil {
		return err
	}
	c512, err := newCredential(mechScram512, password.Reveal())
	if err != nil {
		return err
	}
	return u.change(func(m map[string]user) error {
		m[name] = user{SHA256: c256, SHA512: c512}
		return nil
	})
}

// change lets do change a copy of the users, which takes effect once it is on disk.
func (u *users) change(do func(map[string]user) error) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	changed := maps.Clone(u.byID)
	if err := do(changed); err != nil {
		return err
	}
	if len(changed) > maxUsers {
		return problem.New(problem.TooLarge, "%d users: at most %d", len(changed), maxUsers)
	}
	if err := writeJSON(u.file, changed); err != nil {
		return err
	}
	u.byID = changed
	return nil
}

// names returns the users' names, sorted.
func (u *users) names() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Sorted(maps.Keys(u.byID))
}

func (u *users) get(name string) (user, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	found, ok := u.byID[name]
	return found, ok
}

// plain says whether a user has the password. It takes as long for an unknown user as for a wrong password.
func (u *users) plain(name, password string) bool {
	found, ok := u.get(name)
	if !ok {
		u.nobody.matches(mechScram256, password)
		return false
	}
	if found.SHA256 != nil {
		return found.SHA256.matches(mechScram256, password)
	}
	return found.SHA512 != nil && found.SHA512.matches(mechScram512, password)
}

// scram returns the user's credential for a SCRAM mechanism, nil if there is none.
func (u *users) scram(name, mechanism string) *credential {
	found, _ := u.get(name)
	return *found.credential(mechanism)
}
