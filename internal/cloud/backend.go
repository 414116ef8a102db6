package cloud

import (
	"context"
	"io"
	"time"

	"github.com/siltlake/silt/internal/store"
)

// A backend is one cloud's object store, rooted at a Place. Every call is one attempt: it neither retries nor waits, and an SDK below it is
// told not to. Keys are those of store.Store, checked, and relative to the place. All methods may be called concurrently.
type backend interface {
	// put writes an object in one request; with ifAbsent only if there is none of the key (failure kind exists).
	put(ctx context.Context, key string, data pieces, ifAbsent bool) error
	// get opens n bytes from off, n < 0 meaning all to the end; fewer if the object ends before. size is that of the whole object. A range
	// that begins at or behind the end gives no bytes and no error.
	get(ctx context.Context, key string, off, n int64) (body io.ReadCloser, size int64, err error)
	// list returns one page of the objects whose keys begin with prefix, in the order of bytes; Azure may list folder by folder (see ordering).
	// page is "" for the first and then the next of the call before; next "" ends. after is a hint where to begin, for the first page: keys
	// that are not greater may come all the same. Markers of directories (ADLS Gen2's hdi_isfolder, keys that end in '/') are left out.
	list(ctx context.Context, prefix, after, page string) (objects []store.Info, next string, err error)
	// delete removes an object; that there is none may be an error of kind notFound.
	delete(ctx context.Context, key string) error

	// begin begins an upload in parts. Two uploads of one key never share a part.
	begin(ctx context.Context, key string) (multipart, error)
	// partsInOrder says that each part of an upload has to be there before the next is sent; else sendingParts of them are sent at once.
	partsInOrder() bool
	// clean gives up unfinished uploads below folder that were begun before the given time, cleanedAtOnce of them at most, and returns how
	// many, and whether there may be more. A cloud in which they expire by themselves returns 0. What an attempt that fails gave up stays so.
	clean(ctx context.Context, folder string, before time.Time) (n int, more bool, err error)

	// failure says what an error of one of the others means. It is never called with nil.
	failure(err error) failure
	// renew makes later calls use credentials that are read anew; changed says whether they differ from those before. A Store calls it for all
	// whose credentials were refused together, and never twice at a time.
	renew(ctx context.Context) (changed bool, err error)
}

// A multipart is an upload in parts. Each call is an attempt that may be repeated with the same arguments until it succeeds, or fails with
// kind uploadGone. Calls of part may be concurrent, unless the backend wants parts in order; all have succeeded when finish is called, and all
// have returned when cancel is.
type multipart interface {
	// part sends part n, counted from 0, of partSize bytes; fewer only in the last one, where parts may come in any order.
	part(ctx context.Context, n int, data []byte) error
	// finish sends what is left, fewer than partSize bytes and possibly none, as part n, at least 1, and makes the object, if its key has none yet
	// (failure kind exists).
	finish(ctx context.Context, n int, rest []byte) error
	// cancel gives the upload up.
	cancel(ctx context.Context) error
}

// cleanedAtOnce is how many uploads one attempt gives up: each is a request.
const cleanedAtOnce = 100

// partSize is the size of the parts of an upload: S3 wants at least 5 MiB, GCS a multiple of 256 KiB.
const partSize = 8 << 20

// pieces are bytes that follow each other.
type pieces [][]byte

func (p pieces) size() (n int64) {
	for _, b := range p {
		n += int64(len(b))
	}
	return n
}

// ReadAt implements io.ReaderAt.
func (p pieces) ReadAt(buf []byte, off int64) (n int, err error) {
	for _, b := range p {
		if off < int64(len(b)) {
			n += copy(buf[n:], b[off:])
			off = 0
		} else {
			off -= int64(len(b))
		}
	}
	if n < len(buf) {
		return n, io.EOF
	}
	return n, nil
}

// reader reads them all.
func (p pieces) reader() io.ReadSeeker { return io.NewSectionReader(p, 0, p.size()) }

// A kind is what an error means for what is done next.
type kind uint8

const (
	// transient: no answer, or one that says nothing (500, 503 without more, a reset). Whether the request was applied is not known.
	transient kind = iota
	// refused: nothing was applied and asking again may help: 429, S3's SlowDown, a connection that was never made.
	refused
	// contended: nothing was applied, for another write of this very object is under way or was a moment ago: S3's 409
	// ConditionalRequestConflict, GCS's 429 of an object that is written more than once a second. It says nothing against the store.
	contended
	notFound   // there is no such object
	noBucket   // there is no such container or bucket
	exists     // the key has an object, and the request said if absent
	loggedOut  // the credentials are wrong or expired: 401, Azure's 403 AuthenticationFailed, S3's ExpiredToken, InvalidAccessKeyId, ...
	denied     // the credentials are right and lack the permission
	unsafeTLS  // the certificate does not verify
	uploadGone // the unfinished upload expired or was given up elsewhere; its parts are lost, and only a new one helps
	unworkable // any other answer that will be the same next time: 400, 501, a redirect to another region
)

// A failure is an error understood.
type failure struct {
	kind kind
	// after is Retry-After (or x-ms-retry-after-ms), 0 if the answer had none.
	after time.Duration
	// code is the cloud's own name of the error, for messages: AuthorizationPermissionMismatch; "" if there was no answer.
	code string
	// noHost: the name of the store's host has no address. noLogin, of kind loggedOut: there was nothing to log in with.
	noHost, noLogin bool
}
