package secret

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A vault is a place of one value, with a clock.
type vault struct {
	value  atomic.Pointer[string]
	reads  atomic.Int32
	broken atomic.Bool
	now    atomic.Int64 // seconds
}

var errBroken = errors.New("the vault does not answer")

func newVault(value string) (*vault, Secret) {
	v := &vault{}
	v.value.Store(&value)
	v.now.Store(1e9)
	return v, Renewable(value, Origin{
		Read: func(ctx context.Context) (string, error) {
			v.reads.Add(1)
			if v.broken.Load() {
				return "", errBroken
			}
			return *v.value.Load(), ctx.Err()
		},
		Now: func() time.Time { return time.Unix(v.now.Load(), 0) },
	})
}

func (v *vault) rotate(value string) { v.value.Store(&value) }

// later lets the pause between two readings pass.
func (v *vault) later() { v.now.Add(int64(renewPause/time.Second) + 1) }

func TestARenewedSecretIsNewInAllItsCopiesAndParts(t *testing.T) {
	v, s := newVault("user:old-password")
	copied := s
	password := s.Map(func(text string) string { _, p, _ := strings.Cut(text, ":"); return p })
	joined := Join(New("<"), s, New(">"))
	inner := Join(New("<"), password, New(">")).Map(strings.ToUpper)
	v.rotate("user:new-password")
	if got := copied.Reveal(); got != "user:old-password" {
		t.Errorf("before it is renewed: %s", got)
	}
	changed, err := inner.Renew(t.Context())
	if err != nil || !changed {
		t.Errorf("got %v, %v", changed, err)
	}
	for got, want := range map[string]string{copied.Reveal(): "user:new-password", password.Reveal(): "new-password",
		joined.Reveal(): "<user:new-password>", inner.Reveal(): "<NEW-PASSWORD>"} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestRenew(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(v *vault, s Secret)
		changed bool
		err     error
		value   string
		reads   int32
	}{
		{"nothing has changed", func(*vault, Secret) {}, false, nil, "first", 1},
		{"rotated", func(v *vault, _ Secret) { v.rotate("second") }, true, nil, "second", 1},
		{"within the pause the outcome stands, for whoever failed with the value before", func(v *vault, s Secret) {
			v.rotate("second")
			_, _ = s.Renew(t.Context())
			v.rotate("third")
		}, true, nil, "second", 1},
		{"after the pause it is read again", func(v *vault, s Secret) {
			v.rotate("second")
			_, _ = s.Renew(t.Context())
			v.rotate("third")
			v.later()
		}, true, nil, "third", 2},
		{"after the pause, nothing new", func(v *vault, s Secret) {
			v.rotate("second")
			_, _ = s.Renew(t.Context())
			v.later()
		}, false, nil, "second", 2},
		{"a vault that does not answer", func(v *vault, _ Secret) { v.broken.Store(true) }, false, errBroken, "first", 1},
		{"nor is it asked again within the pause", func(v *vault, s Secret) {
			v.broken.Store(true)
			_, _ = s.Renew(t.Context())
			v.broken.Store(false)
			v.rotate("second")
		}, false, errBroken, "first", 1},
		{"it answers again", func(v *vault, s Secret) {
			v.broken.Store(true)
			_, _ = s.Renew(t.Context())
			v.broken.Store(false)
			v.rotate("second")
			v.later()
		}, true, nil, "second", 2},
		{"an empty value is none", func(v *vault, _ Secret) { v.rotate("") }, false, errEmpty, "first", 1},
		{"a caller that has ended leaves no outcome", func(v *vault, s Secret) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := s.Renew(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			v.rotate("second")
		}, true, nil, "second", 2},
	}
	for _, tt := range tests {
		v, s := newVault("first")
		tt.prepare(v, s)
		changed, err := s.Renew(t.Context())
		// A caller that has ended may find the token before it sees its end, or not.
		if changed != tt.changed || !errors.Is(err, tt.err) || s.Reveal() != tt.value || v.reads.Load() > tt.reads {
			t.Errorf("%s: got %v, %v, %s after %d readings", tt.name, changed, err, s.Reveal(), v.reads.Load())
		}
	}
}

func TestSecretsWithoutAnOriginNeverChange(t *testing.T) {
	for _, s := range []Secret{{}, New("a"), New(""), Join(), Join(New("a"), Secret{}), New("a").Map(strings.ToUpper)} {
		changed, err := s.Renew(t.Context())
		if changed || err != nil || s.Renewable() || s.IsZero() != (s.Reveal() == "") {
			t.Errorf("%s: got %v, %v", s.Reveal(), changed, err)
		}
	}
	if got := Join(New("a"), Secret{}, New("b")).Reveal(); got != "ab" {
		t.Errorf("got %s", got)
	}
}

func TestAStormOfRenewalsReadsOnce(t *testing.T) {
	v, s := newVault("first")
	v.rotate("second")
	var changes atomic.Int32
	var callers sync.WaitGroup
	for range 50 {
		callers.Go(func() {
			if changed, err := Renew(t.Context(), s, Join(s, New("x"))); changed && err == nil && s.Reveal() == "second" {
				changes.Add(1)
			}
		})
	}
	callers.Wait()
	if v.reads.Load() != 1 || changes.Load() != 50 {
		t.Errorf("%d readings, %d of 50 callers were told of the change", v.reads.Load(), changes.Load())
	}
}

func TestRenewingSecretsTogether(t *testing.T) {
	user, u := newVault("user")
	password, p := newVault("old-password")
	password.rotate("new-password")
	if changed, err := Renew(t.Context(), u, p, New("x")); !changed || err != nil || p.Reveal() != "new-password" {
		t.Errorf("got %v, %v", changed, err)
	}
	user.later()
	password.later()
	user.rotate("another")
	password.broken.Store(true)
	if changed, err := Renew(t.Context(), u, p); !changed || !errors.Is(err, errBroken) {
		t.Errorf("got %v, %v", changed, err)
	}
}

func TestTheScrubberIsToldBeforeARenewedValueCanBeRevealed(t *testing.T) {
	v, s := newVault("user:old-password")
	var c Scrubber
	password := s.Map(func(text string) string { _, p, _ := strings.Cut(text, ":"); return p })
	c.Add(s)
	c.Add(password)
	c.Add(password)
	c.Add(Join(New("prefix-"), password))
	v.rotate("user:new-password")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for password.Reveal() != "new-password" {
		}
		if got := c.String("it is " + password.Reveal()); got != "it is "+Redacted {
			t.Error(got)
		}
	}()
	if _, err := s.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-done
	for _, text := range []string{"old-password", "new-password", "user:new-password"} {
		if got := c.String(text); strings.Contains(got, "password") {
			t.Errorf("%s became %s", text, got)
		}
	}
}
