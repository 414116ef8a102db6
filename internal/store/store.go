// Package store is the contract of object stores, and its implementations: local disk and memory. There is no rename and there are no
// directories in it, though local disk is the first to implement it: whatever is built on a Store works on an object store.
package store

import (
	"context"
	"io"
	"iter"
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
	// Exists: the object was there before; nothing changed.
	Exists
)

// Info is one listed object.
type Info struct {
	Key      string
	Size     int64
	Modified time.Time
}

// A Store holds objects by key. Keys are relative to the store's root, parts separated by '/', never empty, absolute or with "." or ".."
// parts (an error). All methods may be called concurrently. An error that matches fs.ErrNotExist or fs.ErrPermission says so; an error of
// a write leaves its effect unknown unless the contract says otherwise.
type Store interface {
	// URL is the root as the user would type it, for messages.
	URL() string
	// Put writes an object, or replaces it whole: a reader sees the old bytes or the new. It is durable when Put returns nil.
	Put(ctx context.Context, key string, data []byte) error
	// PutIfAbsent writes an object that is not there yet, whole and durable. Of any number of writers of one key exactly one gets Created.
	// With Unknown the error says why; with Created and Exists it is nil. An error with Exists never occurs.
	PutIfAbsent(ctx context.Context, key string, data []byte) (Outcome, error)
	// Create begins an object that is written as a stream. Its key must be new: nothing else ever writes it.
	Create(ctx context.Context, key string) (Upload, error)
	// Get reads an object of at most limit bytes; a larger one is an error.
	Get(ctx context.Context, key string, limit int64) ([]byte, error)
	// Open opens an object for reading at any place.
	Open(ctx context.Context, key string) (Object, error)
	// List yields the objects whose keys begin with prefix and are greater than after, in the order of bytes. Unfinished uploads and
	// temporary files are not objects.
	List(ctx context.Context, prefix, after string) iter.Seq2[Info, error]
	// Delete removes an object; one that is not there is no error.
	Delete(ctx context.Context, key string) error
}

// An Upload is an object being written; it belongs to one goroutine. Nothing is visible before Commit.
type Upload interface {
	io.Writer
	// Commit makes the object visible and durable.
	Commit(ctx context.Context) error
	// Abort gives the object up; after Commit it does nothing.
	Abort(ctx context.Context) error
}

// An Object is an object being read.
type Object interface {
	io.ReaderAt
	io.Closer
	Size() int64
}
