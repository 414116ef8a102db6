package cloud

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// A gcsUpload is a resumable upload (https://cloud.google.com/storage/docs/performing-resumable-uploads). Its session knows how many bytes it
// has: whoever is not sure asks, and sends what is missing.
type gcsUpload struct {
	g   *gcs
	key string
	// session is the path and query of the session. Who knows it may write the object: it is in no message.
	session string
	crc     uint32 // of the parts that the session has
	// unsure: an answer was lost, the session may have more than is known.
	unsure bool
}

// partsInOrder implements backend: a session takes bytes from where it is.
func (g *gcs) partsInOrder() bool { return true }

// begin asks for a session. The object must not be there at the end; GCS may find out already now that it is.
func (g *gcs) begin(ctx context.Context, key string) (multipart, error) {
	req, err := g.request(ctx, http.MethodPost, "/upload", "", url.Values{
		"uploadType": {"resumable"}, "name": {g.config.place.key(key)}, "ifGenerationMatch": {"0"}, "fields": {"size,crc32c"},
	})
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-Upload-Content-Type", "application/octet-stream")
	resp, err := g.send(req, http.StatusOK, http.StatusCreated)
	if err != nil {
		return nil, err
	}
	if _, err := readAnswer(resp, maxAnswer); err != nil {
		return nil, err
	}
	// The session is asked where everything is: a token goes nowhere else.
	u, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || !u.Query().Has("upload_id") {
		return nil, errors.New("the answer names no upload session")
	}
	return &gcsUpload{g: g, key: key, session: u.EscapedPath() + "?" + u.RawQuery}, nil
}

func (u *gcsUpload) part(ctx context.Context, n int, data []byte) error {
	o, err := u.send(ctx, int64(n)*u.g.partBytes, data, -1)
	if err != nil {
		return err
	}
	if o != nil {
		return uploadGoneError{"GCS ended it early"}
	}
	u.crc = crc32.Update(u.crc, castagnoli, data)
	return nil
}

func (u *gcsUpload) finish(ctx context.Context, n int, rest []byte) error {
	before := int64(n) * u.g.partBytes
	total, crc := before+int64(len(rest)), crc32.Update(u.crc, castagnoli, rest)
	lost := u.unsure
	o, err := u.send(ctx, before, rest, total)
	if err == nil {
		return o.check(total, crc)
	}
	// What an attempt before this one did, of which the answer was lost, may have ended the session and made the object.
	if k := u.g.failure(err).kind; !lost || k != exists && k != uploadGone {
		return err
	}
	found, e := u.g.look(ctx, u.key)
	switch {
	case e == nil && found.check(total, crc) == nil:
		return nil
	case e == nil:
		return &gcsError{status: http.StatusPreconditionFailed, reason: "conditionNotMet", message: "another object has the name", kind: exists}
	case u.g.failure(e).kind == notFound:
		return err
	}
	return e
}

func (u *gcsUpload) cancel(ctx context.Context) error {
	req, err := u.request(ctx, http.MethodDelete, nil)
	if err != nil {
		return err
	}
	// 499 says that it is done; the others, that there was nothing left to do.
	resp, err := u.g.send(req, 499, http.StatusNoContent, http.StatusOK, http.StatusNotFound, http.StatusGone)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// An uploadGoneError says that an unfinished upload is no more.
type uploadGoneError struct{ why string }

func (e uploadGoneError) Error() string { return "the upload is gone: " + e.why }

// send makes the session have data at offset off, from where it goes on if it has a part of it. With total it ends the upload, which has so
// many bytes; -1 leaves it open. The object is that of an upload that ended, nil for one that goes on.
func (u *gcsUpload) send(ctx context.Context, off int64, data []byte, total int64) (*gcsObject, error) {
	have, end := off, off+int64(len(data))
	if u.unsure {
		got, o, err := u.put(ctx, nil, "bytes */*")
		if err != nil || o != nil {
			return o, err
		}
		have = got
	}
	for {
		if have < off || have > end {
			return nil, uploadGoneError{fmt.Sprintf("its session has %d bytes, not %d to %d", have, off, end)}
		}
		u.unsure = false
		if have == end && total < 0 {
			return nil, nil
		}
		got, o, err := u.put(ctx, data[have-off:], uploadRange(have, end, total))
		if err != nil || o != nil {
			return o, err
		}
		if got <= have {
			return nil, fmt.Errorf("the upload does not go on: its session has %d bytes of %d", got, end)
		}
		have = got
	}
}

// uploadRange is the Content-Range of the bytes [from, end) of an upload.
func uploadRange(from, end, total int64) string {
	size := "*"
	if total >= 0 {
		size = strconv.FormatInt(total, 10)
	}
	if from == end {
		return "bytes */" + size
	}
	return fmt.Sprintf("bytes %d-%d/%s", from, end-1, size)
}

// put sends bytes to the session. It returns how many it has, or the object if it ended.
func (u *gcsUpload) put(ctx context.Context, data []byte, span string) (have int64, o *gcsObject, err error) {
	req, err := u.request(ctx, http.MethodPut, data)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Range", span)
	u.unsure = true
	resp, err := u.g.send(req, http.StatusPermanentRedirect, http.StatusOK, http.StatusCreated)
	if err != nil {
		if e, ok := errors.AsType[*gcsError](err); ok && (e.status == http.StatusNotFound || e.status == http.StatusGone) {
			return 0, nil, uploadGoneError{e.Error()}
		}
		return 0, nil, err
	}
	body, err := readAnswer(resp, maxAnswer)
	if err != nil {
		return 0, nil, err
	}
	if resp.StatusCode == http.StatusPermanentRedirect { // "resume incomplete", and no redirect
		have, ok := sessionRange(resp.Header.Get("Range"))
		if !ok {
			return 0, nil, fmt.Errorf("the session's range is %q", u.g.quote.text(resp.Header.Get("Range"), nil))
		}
		return have, nil, nil
	}
	o = &gcsObject{}
	if err := json.Unmarshal(body, o); err != nil {
		return 0, nil, fmt.Errorf("the answer is not what GCS gives: %w", err)
	}
	return 0, o, nil
}

// sessionRange reads how many bytes a session has: bytes=0-41 is 42, and no header is none.
func sessionRange(text string) (have int64, ok bool) {
	if text == "" {
		return 0, true
	}
	last, found := strings.CutPrefix(text, "bytes=0-")
	n, err := strconv.ParseInt(last, 10, 62)
	return n + 1, found && err == nil && n >= 0
}

func (u *gcsUpload) request(ctx context.Context, method string, data []byte) (*http.Request, error) {
	return http.NewRequestWithContext(ctx, method, u.g.config.root.String()+u.session, bytes.NewReader(data))
}

// check compares an object with what was sent. That they differ is no reason to send the same again, but to begin anew under another key.
func (o *gcsObject) check(size int64, crc uint32) error {
	if o.Size != size {
		return uploadGoneError{fmt.Sprintf("GCS made an object of %d bytes of %d", o.Size, size)}
	}
	if want := gcsChecksum(crc); o.CRC32C != "" && o.CRC32C != want {
		return uploadGoneError{fmt.Sprintf("GCS made an object of checksum %s of bytes of checksum %s", o.CRC32C, want)}
	}
	return nil
}
