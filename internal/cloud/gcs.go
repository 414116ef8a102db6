package cloud

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/siltlake/silt/internal/store"
)

// gcs is a bucket of Google Cloud Storage over its JSON API (https://cloud.google.com/storage/docs/json_api/v1).
type gcs struct {
	config gcsConfig
	client *http.Client
	tokens *gcsTokens // nil: requests carry none
	now    func() time.Time
	quote  quoter
	// pageSize is how many objects a page of a listing has at most, and partBytes how many bytes a part of an upload.
	pageSize  int
	partBytes int64
}

var _ backend = (*gcs)(nil)

const (
	// gcsPage is the most objects that GCS puts on one page.
	gcsPage = 1000
	// maxListing is the size of the largest page that is read: names have up to 1,024 bytes, of which JSON may make six times as many.
	maxListing = 16 << 20
	// maxAnswer is that of any other answer of the API, and maxErrorBody how much of an error is read.
	maxAnswer    = 1 << 20
	maxErrorBody = 64 << 10
)

// newGCS returns a bucket's backend. It asks nobody anything.
func newGCS(_ context.Context, c gcsConfig, env Env) (backend, error) {
	transport := env.Transport
	if transport == nil {
		transport = newTransport()
	}
	tokens, err := newGCSTokens(c, env, transport)
	if err != nil {
		return nil, err
	}
	return &gcs{config: c, client: newClient(transport), tokens: tokens, now: env.now, quote: quoter{secrets: env.Secrets}, pageSize: gcsPage, partBytes: partSize}, nil
}

// A gcsObject is what silt asks of an object's resource.
type gcsObject struct {
	Name    string    `json:"name"`
	Size    int64     `json:"size,string"`
	CRC32C  string    `json:"crc32c"` // big-endian, in base64
	Created time.Time `json:"timeCreated"`
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// gcsChecksum is a CRC32C as the API writes it.
func gcsChecksum(crc uint32) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc))
}

// put sends the object and its checksum, which GCS compares, in one multipart request
// (https://cloud.google.com/storage/docs/uploading-objects#upload-object-json).
func (g *gcs) put(ctx context.Context, key string, data pieces, ifAbsent bool) error {
	query := url.Values{"uploadType": {"multipart"}, "fields": {"generation"}}
	if ifAbsent {
		query.Set("ifGenerationMatch", "0")
	}
	req, err := g.request(ctx, http.MethodPost, "/upload", "", query)
	if err != nil {
		return err
	}
	var crc uint32
	for _, b := range data {
		crc = crc32.Update(crc, castagnoli, b)
	}
	resource, err := json.Marshal(map[string]string{"name": g.config.place.key(key), "contentType": "application/octet-stream", "crc32c": gcsChecksum(crc)})
	if err != nil {
		return err
	}
	boundary := rand.Text() // no object can hold it, to end its part and begin another
	head := "--" + boundary + "\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n" + string(resource) +
		"\r\n--" + boundary + "\r\nContent-Type: application/octet-stream\r\n\r\n"
	tail := "\r\n--" + boundary + "--\r\n"
	req.Header.Set("Content-Type", "multipart/related; boundary="+boundary)
	req.ContentLength = int64(len(head)+len(tail)) + data.size()
	req.GetBody = func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader(head), data.reader(), strings.NewReader(tail))), nil
	}
	req.Body, _ = req.GetBody()
	resp, err := g.send(req, http.StatusOK)
	if err != nil {
		return err
	}
	_, err = readAnswer(resp, maxAnswer)
	return err
}

func (g *gcs) get(ctx context.Context, key string, off, n int64) (io.ReadCloser, int64, error) {
	if n == 0 { // there is no such range
		o, err := g.look(ctx, key)
		return http.NoBody, o.Size, err
	}
	req, err := g.request(ctx, http.MethodGet, "", key, url.Values{"alt": {"media"}})
	if err != nil {
		return nil, 0, err
	}
	// GCS unpacks an object that is stored as gzip for who does not take gzip, and then knows neither size nor ranges. Who takes gzip could
	// get packed in transit what is not stored so.
	req.Header.Set("Accept-Encoding", "identity")
	switch {
	case n > 0:
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", off, off+n-1))
	case off > 0:
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", off))
	}
	resp, err := g.send(req, http.StatusOK, http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable)
	if err != nil {
		return nil, 0, err
	}
	if resp.StatusCode == http.StatusRequestedRangeNotSatisfiable {
		_, _ = readAnswer(resp, maxErrorBody) // the status says everything
		if _, size, ok := contentRange(resp.Header.Get("Content-Range")); ok {
			return http.NoBody, size, nil
		}
		o, err := g.look(ctx, key)
		return http.NoBody, o.Size, err
	}
	size, err := gotSize(resp, off, n)
	if err != nil {
		_ = resp.Body.Close()
		return nil, 0, err
	}
	return resp.Body, size, nil
}

// gotSize checks that the answer is what was asked for, and returns the size of the whole object.
func gotSize(resp *http.Response, off, n int64) (int64, error) {
	if e := resp.Header.Get("X-Goog-Stored-Content-Encoding"); e != "" && e != "identity" {
		return 0, &gcsError{status: resp.StatusCode, reason: "contentEncoding",
			message: fmt.Sprintf("the object is stored with Content-Encoding: %s, which has no ranges", e), kind: unworkable}
	}
	if resp.StatusCode == http.StatusPartialContent {
		from, size, ok := contentRange(resp.Header.Get("Content-Range"))
		if !ok || from != off {
			return 0, fmt.Errorf("the answer to a range from %d is %q", off, resp.Header.Get("Content-Range"))
		}
		return size, nil
	}
	size, err := strconv.ParseInt(resp.Header.Get("X-Goog-Stored-Content-Length"), 10, 64)
	if err != nil {
		size = resp.ContentLength
	}
	switch {
	case size < 0:
		return 0, errors.New("the answer has no length")
	case off > 0 || n >= 0 && size > n:
		return 0, errors.New("the answer to a range is the whole object")
	}
	return size, nil
}

// look asks for an object's resource.
func (g *gcs) look(ctx context.Context, key string) (o gcsObject, err error) {
	req, err := g.request(ctx, http.MethodGet, "", key, url.Values{"fields": {"size,crc32c"}})
	if err != nil {
		return o, err
	}
	return o, g.answer(req, maxAnswer, &o)
}

// list asks for a page. startOffset, which is inclusive, goes with every page, for tokens belong to the question that they answered:
// a page's name is its token and startOffset.
func (g *gcs) list(ctx context.Context, prefix, after, page string) ([]store.Info, string, error) {
	place := g.config.place
	query := url.Values{"prefix": {place.key(prefix)}, "maxResults": {strconv.Itoa(g.pageSize)},
		"fields": {"nextPageToken,items(name,size,timeCreated)"}}
	start := ""
	if after != "" {
		start = place.key(after)
	}
	if page != "" {
		var token string
		token, start, _ = strings.Cut(page, "\n")
		query.Set("pageToken", token)
	}
	if start != "" {
		query.Set("startOffset", start)
	}
	req, err := g.request(ctx, http.MethodGet, "", "", query)
	if err != nil {
		return nil, "", err
	}
	var answer struct {
		Items []gcsObject `json:"items"`
		Next  string      `json:"nextPageToken"`
	}
	if err := g.answer(req, maxListing, &answer); err != nil {
		return nil, "", err
	}
	objects := make([]store.Info, 0, len(answer.Items))
	for _, o := range answer.Items {
		key, ok := strings.CutPrefix(o.Name, place.key(""))
		if !ok || key == "" || strings.HasSuffix(key, "/") {
			continue // markers of folders
		}
		objects = append(objects, store.Info{Key: key, Size: o.Size, Modified: o.Created})
	}
	if answer.Next != "" {
		answer.Next += "\n" + start
	}
	return objects, answer.Next, nil
}

func (g *gcs) delete(ctx context.Context, key string) error {
	req, err := g.request(ctx, http.MethodDelete, "", key, nil)
	if err != nil {
		return err
	}
	resp, err := g.send(req, http.StatusNoContent, http.StatusOK)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// clean finds nothing: GCS lists no unfinished uploads, charges nothing for them, and forgets them after a week.
func (g *gcs) clean(context.Context, string, time.Time) (n int, more bool, err error) {
	return 0, false, nil
}

func (g *gcs) renew(ctx context.Context) (bool, error) {
	if g.tokens == nil {
		return false, nil
	}
	return g.tokens.renew(ctx)
}

// request makes a request to the API: prefix is "/upload" or "", and key "" asks the bucket's list of objects.
func (g *gcs) request(ctx context.Context, method, prefix, key string, query url.Values) (*http.Request, error) {
	path := prefix + g.objects()
	if key != "" {
		path += "/" + escapeAll(g.config.place.key(key))
	}
	if query == nil {
		query = url.Values{}
	}
	if g.config.userProject != "" {
		query.Set("userProject", g.config.userProject)
	}
	return http.NewRequestWithContext(ctx, method, g.config.root.String()+path+"?"+query.Encode(), nil)
}

// objects is the path of the bucket's list of objects.
func (g *gcs) objects() string { return "/storage/v1/b/" + escapeAll(g.config.place.Bucket) + "/o" }

// escapeAll escapes everything in a name but what RFC 3986 reserves for nothing, slashes too: the name is one segment of the path.
func escapeAll(name string) string { return strings.ReplaceAll(url.QueryEscape(name), "+", "%20") }

// send sends a request with a token and returns the answer if its status is one of those wanted; its body is the caller's to close.
func (g *gcs) send(req *http.Request, want ...int) (*http.Response, error) {
	if g.tokens != nil {
		token, err := g.tokens.get(req.Context())
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", "Bearer "+token.Reveal())
	}
	req.Header.Set("User-Agent", "silt")
	resp, err := g.client.Do(req)
	if err != nil {
		return nil, withoutURL(err)
	}
	for _, status := range want {
		if resp.StatusCode == status {
			return resp, nil
		}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if err != nil {
		body = nil // the status says enough
	}
	e := readGCSError(resp, body, g.quote)
	e.after = retryAfter(resp.Header, g.now())
	e.bucketOnly = strings.TrimPrefix(req.URL.EscapedPath(), "/upload") == g.objects()
	e.anonymous = g.tokens == nil
	e.kind = e.classify()
	return nil, e
}

// answer sends a request and reads the JSON of its answer.
func (g *gcs) answer(req *http.Request, limit int64, into any) error {
	resp, err := g.send(req, http.StatusOK)
	if err != nil {
		return err
	}
	body, err := readAnswer(resp, limit)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("the answer is not what GCS gives: %w", err)
	}
	return nil
}

// readAnswer reads a body to its end, so that the connection serves again.
func readAnswer(resp *http.Response, limit int64) ([]byte, error) {
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err == nil && int64(len(body)) > limit {
		err = fmt.Errorf("the answer is larger than %d bytes", limit)
	}
	return body, err
}

// withoutURL takes the URL off an error of net/http: that of an upload is a permission to write.
func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}
