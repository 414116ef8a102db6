// Package store is the contract of object stores, and its implementations: local disk and memory. There is no rename and there are no
// directories in it, though local disk is the first to implement it: whatever is built on a Store works on an object store.
package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strings"
	"time"
)

// An Outcome is what is known after a PutIfAbsent.
type Outcome uint8

// The outcomes.
const (
	// Unknown: the answer was lost, the object may be there or not. Read it back and compare before anything else.
	Unknown Outcome = iota
	// Created: the object is there, durable, and it is ours.
	Created
	// Exists: the object was there before and is durable; nothing changed.
	Exists
)

func (o Outcome) String() string {
	switch o {
	case Created:
		return "created"
	case Exists:
		return "exists"
	}
	return "unknown"
}

// ErrNotWritten: it is certain that a PutIfAbsent wrote nothing, and never will.
var ErrNotWritten = errors.New("nothing was written")

// NotWritten marks an error as ErrNotWritten and keeps its text.
func NotWritten(err error) error { return &notWritten{err} }

type notWritten struct{ error }

func (e *notWritten) Unwrap() error        { return e.error }
func (e *notWritten) Is(target error) bool { return target == ErrNotWritten }

// ErrTooLarge: the object is larger than the limit that Get was given.
var ErrTooLarge = errors.New("object is larger than the limit")

// Info is one listed object.
type Info struct {
	Key      string
	Size     int64
	Modified time.Time
}

// A Store holds objects by key. Keys are relative to the store's root, parts separated by '/', never empty, absolute or with "." or ".."
// parts (an error, see CheckKey). All methods may be called concurrently. An error that matches fs.ErrNotExist or fs.ErrPermission says so;
// an error of a write leaves its effect unknown unless the contract says otherwise.
//
// An object is hidden if a part of its key begins with a dot: it is written, read and deleted as any other, and never listed.
type Store interface {
	// URL is the root as the user would type it, for messages.
	URL() string
	// Put writes an object, or replaces it whole: a reader sees the old bytes or the new. It is durable when Put returns nil.
	Put(ctx context.Context, key string, data []byte) error
	// PutIfAbsent writes an object that is not there yet, whole and durable. Of any number of writers of one key exactly one gets Created.
	// With Unknown the error says why, and only if it matches ErrNotWritten is it certain that nothing was or will be written; with Created
	// and Exists it is nil. A store that is not sure who wrote what is there says Unknown, even if the bytes are the caller's.
	PutIfAbsent(ctx context.Context, key string, data []byte) (Outcome, error)
	// Create begins an object that is written as a stream. Its key must be new: nothing else ever writes it.
	Create(ctx context.Context, key string) (Upload, error)
	// Get reads an object of at most limit bytes; a larger one is ErrTooLarge.
	Get(ctx context.Context, key string, limit int64) ([]byte, error)
	// Open opens an object for reading at any place. ctx is that of the reads as well.
	Open(ctx context.Context, key string) (Object, error)
	// List yields the objects whose keys begin with prefix and are greater than after, in the order of bytes. Unfinished uploads and
	// hidden objects are left out. A prefix under which nothing is yields nothing. After an error it yields nothing more.
	List(ctx context.Context, prefix, after string) iter.Seq2[Info, error]
	// Delete removes an object; one that is not there is no error.
	Delete(ctx context.Context, key string) error
}

// An Upload is an object being written; it belongs to one goroutine. Nothing is visible before Commit.
type Upload interface {
	io.Writer
	// Commit makes the object visible and durable. An object of the key that is there already is left as it is: fs.ErrExist.
	Commit(ctx context.Context) error
	// Abort gives the object up; after Commit, whatever it returned, it does nothing.
	Abort(ctx context.Context) error
}

// An Object is an object being read.
type Object interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// A Cleaner is a Store in which a killed writer leaves something behind.
type Cleaner interface {
	// Clean removes the unfinished uploads and temporary files of this program in a folder and below that were last written before the
	// given time, the zero time meaning all; folder "" is the root. It returns how many it removed. Objects stay, and so do temporary
	// files of other programs.
	Clean(ctx context.Context, folder string, before time.Time) (int, error)
}

// Abandoned is the age at which an unfinished upload in a folder that several processes write to belongs to nobody: a live one is
// written to all the time, and a batch lasts minutes.
const Abandoned = 24 * time.Hour

// Clean calls s.Clean if s is a Cleaner. Which time is safe depends on who else may write in the folder: where only this process does (its
// checkpoint on local disk) the zero time, where others may (a table) now - Abandoned.
func Clean(ctx context.Context, s Store, folder string, before time.Time) (int, error) {
	if c, ok := s.(Cleaner); ok {
		return c.Clean(ctx, folder, before)
	}
	return 0, nil
}

// CheckKey returns an error if key is none. Every Store refuses what CheckKey refuses: empty, absolute, empty parts, "." and ".." parts,
// NUL, and what is not UTF-8.
func CheckKey(key string) error {
	if key == "." || !fs.ValidPath(key) || strings.IndexByte(key, 0) >= 0 {
		return fmt.Errorf("%q is no key: %w", key, fs.ErrInvalid)
	}
	return nil
}

// CheckPrefix returns an error if no key can begin with prefix: it would be no key whatever followed.
func CheckPrefix(prefix string) error {
	_, err := prefixFolder(prefix)
	return err
}

// prefixFolder returns the folder in which every key that begins with prefix lies, "" being the root, or an error if no key can.
func prefixFolder(prefix string) (string, error) {
	i := strings.LastIndexByte(prefix, '/')
	if i < 0 {
		return "", nil
	}
	return prefix[:i], CheckKey(prefix[:i])
}

// Hidden says whether List leaves the key out: a part of it begins with a dot.
func Hidden(key string) bool {
	return strings.HasPrefix(key, ".") || strings.Contains(key, "/.")
}
