package cloud

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/siltlake/silt/internal/store"
)

// List implements store.Store. A page is asked for when the objects before it were yielded. Every page has to go on behind the last one:
// a listing that is out of order, or repeats itself, ends with an error, since what builds on it would take an old object for the newest.
func (s *Store) List(ctx context.Context, prefix, after string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		err := store.CheckPrefix(prefix)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			yield(store.Info{}, fmt.Errorf("list %s: %w", prefix, err))
			return
		}
		give := func(objects []store.Info) bool {
			for _, o := range objects {
				if o.Key > after && !store.Hidden(o.Key) && store.CheckKey(o.Key) == nil && !yield(o, nil) {
					return false
				}
			}
			return true
		}
		l := ordering{prefix: prefix, mayGoByFolder: s.place.Cloud == Azure}
		for o, err := range s.pages(ctx, prefix, after) {
			var ready []store.Info
			if err == nil {
				var ok bool
				if ready, ok = l.add(o); !ok {
					err = s.disordered(prefix, l.last, o.Key)
				}
			}
			if err != nil {
				yield(store.Info{}, err)
				return
			}
			if !give(ready) {
				return
			}
		}
		give(l.rest())
	}
}

// pages yields what the store lists, as it comes.
func (s *Store) pages(ctx context.Context, prefix, after string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		for page := ""; ; {
			var objects []store.Info
			var next string
			r := s.do(ctx, 0, func(a *attempt) (err error) {
				objects, next, err = s.b.list(a, prefix, after, page)
				return err
			})
			if !r.ok() {
				yield(store.Info{}, s.explain(opList, prefix, &r))
				return
			}
			for _, o := range objects {
				if !yield(o, nil) {
					return
				}
			}
			switch next {
			case "":
				return
			case page:
				yield(store.Info{}, s.disordered(prefix, "page "+page, "page "+next))
				return
			}
			page = next
		}
	}
}

// An ordering checks the order of objects, and makes it that of bytes. Stores list in it, but for Azure's accounts with a hierarchical
// namespace: those go folder by folder, so that a/x comes before a-b although '-' is less than '/'. There what lies in a folder is held back
// until nothing can come any more that begins with the folder's name, in whichever of the orders the store lists.
type ordering struct {
	prefix        string
	mayGoByFolder bool

	last                     string
	notByBytes, notByFolders bool // the order that the objects so far are not in
	held                     []store.Info
	folder                   string // what those held begin with; "" if there are none
}

// add takes the next object and returns those that can be yielded; ok is false if it comes in no order.
func (l *ordering) add(o store.Info) (ready []store.Info, ok bool) {
	if !strings.HasPrefix(o.Key, l.prefix) {
		return nil, false
	}
	l.notByBytes = l.notByBytes || o.Key <= l.last
	l.notByFolders = l.notByFolders || compareByFolder(o.Key, l.last) <= 0
	if l.notByBytes && (l.notByFolders || !l.mayGoByFolder) {
		return nil, false
	}
	l.last = o.Key
	if l.folder != "" && strings.HasPrefix(o.Key, l.folder) {
		l.held = append(l.held, o)
		return nil, true
	}
	ready = l.rest()
	if name, _, below := strings.Cut(o.Key[len(l.prefix):], "/"); below && l.mayGoByFolder {
		l.held, l.folder = append(l.held, o), l.prefix+name
		return ready, true
	}
	return append(ready, o), true
}

// rest returns what is held, in order.
func (l *ordering) rest() []store.Info {
	held := l.held
	l.held, l.folder = nil, ""
	slices.SortFunc(held, func(a, b store.Info) int { return strings.Compare(a.Key, b.Key) })
	return held
}

// compareByFolder compares keys where '/' is the least of all characters.
func compareByFolder(a, b string) int {
	for i := range min(len(a), len(b)) {
		switch x, y := a[i], b[i]; {
		case x == y:
		case x == '/' || y != '/' && x < y:
			return -1
		default:
			return 1
		}
	}
	return len(a) - len(b)
}
