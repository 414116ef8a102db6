package cloud

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
)

// azure is a folder of a container of Azure Blob Storage. Accounts with a hierarchical namespace (ADLS Gen2) are spoken to at their Blob
// endpoint too: there a put is one atomic request, and a listing can begin within a file's name.
type azure struct {
	config azureConfig
	send   http.RoundTripper
	now    func() time.Time
	quote  quoter

	client atomic.Pointer[azureClient]
}

var _ backend = (*azure)(nil)

// newAzure returns the place as a backend. It sends nothing yet.
func newAzure(_ context.Context, c azureConfig, env Env) (backend, error) {
	a := &azure{config: c, send: env.Transport, now: env.now, quote: quoter{env.Secrets, []string{c.login.tokenFile}}}
	if a.send == nil {
		a.send = newTransport()
	}
	_, err := a.container()
	return a, a.failed("log in", false, err)
}

// container returns the client of the container. One whose secret was renewed, by whomever, is made anew.
func (a *azure) container() (*azureClient, error) {
	c := a.client.Load()
	if c != nil && c.of.Reveal() == a.config.login.secret.Reveal() {
		return c, nil
	}
	c, err := newAzureClient(a.config, a.send)
	if err != nil {
		return nil, err
	}
	a.client.Store(c)
	return c, nil
}

func (a *azure) blob(key string) (*blockblob.Client, error) {
	c, err := a.container()
	if err != nil {
		return nil, err
	}
	return c.NewBlockBlobClient(a.config.place.key(key)), nil
}

func (a *azure) failed(op string, ifAbsent bool, err error) error {
	return azureFailed(op, ifAbsent, err, a.now(), a.quote)
}

// absent is the condition that there is no blob of the name.
func absent() *blob.AccessConditions {
	any := azcore.ETagAny
	return &blob.AccessConditions{ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfNoneMatch: &any}}
}

func (a *azure) put(ctx context.Context, key string, data pieces, ifAbsent bool) error {
	b, err := a.blob(key)
	if err == nil {
		o := &blockblob.UploadOptions{}
		if ifAbsent {
			o.AccessConditions = absent()
		}
		_, err = b.Upload(ctx, streaming.NopCloser(data.reader()), o)
	}
	return a.failed("Put Blob", ifAbsent, err)
}

func (a *azure) get(ctx context.Context, key string, off, n int64) (io.ReadCloser, int64, error) {
	const op = "Get Blob"
	b, err := a.blob(key)
	if err != nil {
		return nil, 0, a.failed(op, false, err)
	}
	if n == 0 {
		size, err := a.size(ctx, b)
		return http.NoBody, size, err
	}
	r, err := b.DownloadStream(ctx, &blob.DownloadStreamOptions{Range: blob.HTTPRange{Offset: off, Count: max(n, 0)}})
	if e, ok := a.failed(op, false, err).(*azureError); ok {
		if e.status == http.StatusRequestedRangeNotSatisfiable {
			size, err := a.size(ctx, b)
			return http.NoBody, size, err
		}
		return nil, 0, e
	}
	if isFolder(r.Metadata) {
		_ = r.Body.Close() // of no bytes
		return nil, 0, &azureError{op: op, status: http.StatusNotFound, text: "it is a directory"}
	}
	size, ok := wholeSize(off, r.ContentRange, r.ContentLength)
	if !ok {
		_ = r.Body.Close()
		return nil, 0, &azureError{op: op, status: http.StatusBadGateway, text: "the answer is not the range that was asked for, or has no size"}
	}
	return r.Body, size, nil
}

// size returns the size of a blob.
func (a *azure) size(ctx context.Context, b *blockblob.Client) (int64, error) {
	const op = "Get Blob Properties"
	p, err := b.GetProperties(ctx, nil)
	switch {
	case err != nil:
		return 0, a.failed(op, false, err)
	case isFolder(p.Metadata):
		return 0, &azureError{op: op, status: http.StatusNotFound, text: "it is a directory"}
	case p.ContentLength == nil:
		return 0, &azureError{op: op, status: http.StatusBadGateway, text: "the answer does not say the size"}
	}
	return *p.ContentLength, nil
}

// wholeSize returns the size of the whole blob from the headers of an answer that begins at off: Content-Range if it has a part of it.
func wholeSize(off int64, ranged *string, length *int64) (int64, bool) {
	if ranged != nil {
		from, size, ok := contentRange(*ranged)
		return size, ok && from == off
	}
	if length == nil || off > 0 {
		return 0, false
	}
	return *length, *length >= 0
}

func (a *azure) delete(ctx context.Context, key string) error {
	b, err := a.blob(key)
	if err == nil {
		_, err = b.Delete(ctx, nil)
	}
	return a.failed("Delete Blob", false, err)
}

// An azureUpload is a block blob whose blocks are sent and not yet listed. They belong to the blob's name, not to who sent them: two uploads
// with equal ids commit each other's bytes. So its ids begin with 16 random bytes. All ids of a name must be of one length.
type azureUpload struct {
	a    *azure
	key  string
	lead [16]byte
}

func (a *azure) partsInOrder() bool { return false }

func (a *azure) begin(_ context.Context, key string) (multipart, error) {
	u := &azureUpload{a: a, key: key}
	rand.Read(u.lead[:]) // never fails
	return u, nil
}

// block is the id of part n.
func (u *azureUpload) block(n int) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(u.lead[:], uint32(n)))
}

func (u *azureUpload) part(ctx context.Context, n int, data []byte) error {
	b, err := u.a.blob(u.key)
	if err == nil {
		_, err = b.StageBlock(ctx, u.block(n), streaming.NopCloser(bytes.NewReader(data)), nil)
	}
	return u.a.failed("Put Block", false, err)
}

func (u *azureUpload) finish(ctx context.Context, n int, rest []byte) error {
	if len(rest) > 0 {
		if err := u.part(ctx, n, rest); err != nil {
			return err
		}
		n++
	}
	const op = "Put Block List"
	b, err := u.a.blob(u.key)
	if err != nil {
		return u.a.failed(op, true, err)
	}
	blocks := make([]string, n)
	for i := range blocks {
		blocks[i] = u.block(i)
	}
	_, err = b.CommitBlockList(ctx, blocks, &blockblob.CommitBlockListOptions{AccessConditions: absent()})
	e, ok := u.a.failed(op, true, err).(*azureError)
	if !ok {
		return nil
	}
	// Whoever makes the blob throws away all blocks that are not listed. An emulator may look for the blocks before it looks at the condition.
	if e.meaning().kind == uploadGone {
		if _, err := u.a.size(ctx, b); err == nil {
			e.code, e.status = "BlobAlreadyExists", http.StatusConflict
		}
	}
	return e
}

// cancel does nothing: blocks that were not listed expire a week after the last one (learn.microsoft.com, "Put Block"), and to delete the
// blob would delete the one that somebody else made.
func (u *azureUpload) cancel(context.Context) error { return nil }

func (a *azure) clean(context.Context, string, time.Time) (n int, more bool, err error) {
	return 0, false, nil
}

func (a *azure) failure(err error) failure {
	if e, ok := err.(*azureError); ok {
		return e.meaning()
	}
	return unanswered(err)
}

func (a *azure) renew(ctx context.Context) (changed bool, err error) {
	before := a.client.Load()
	changed, err = a.config.login.secret.Renew(ctx)
	if err != nil {
		return false, err
	}
	c, err := a.container()
	switch {
	case err != nil:
		return false, a.failed("log in", false, err)
	case changed || c != before:
		return true, nil // another secret; a token that it gives is got with the next request
	case c.cred == nil || a.config.login.kind == azureBearer:
		return false, nil
	}
	// Another token of the same login: the one before was revoked, or is not for this tenant any more.
	if c, err = newAzureClient(a.config, a.send); err == nil {
		_, err = c.cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{azureScope}, EnableCAE: true})
	}
	if err != nil {
		return false, a.failed("log in", false, err)
	}
	a.client.Store(c)
	return true, nil
}
