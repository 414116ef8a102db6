package registryd

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/siltlake/silt/internal/httpd"
)

// Limits of a request.
const (
	maxBody   = 4 << 20 // bytes; a schema of 2 MiB is longer in JSON
	maxBodies = 16      // in memory at a time
	maxQuery  = 16 << 10
)

// The media types of the API, the preferred first.
func mediaTypes() []string {
	return []string{"application/vnd.schemaregistry.v1+json", "application/vnd.schemaregistry+json", "application/json"}
}

// ServeHTTP implements http.Handler.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	media, ok := acceptable(req.Header.Values("Accept"))
	if !ok {
		media = mediaTypes()[2]
	}
	h := w.Header()
	h.Set("Content-Type", media)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if !r.guard.Admits(req) {
		h.Set("WWW-Authenticate", `Basic realm="silt schema registry"`)
		writeError(w, &apiError{http.StatusUnauthorized, http.StatusUnauthorized, "Unauthorized"})
		return
	}
	o := r.call(req, ok)
	if o.err != nil {
		writeError(w, o.err)
		return
	}
	writeBody(w, o.body)
}

func (r *Registry) call(req *http.Request, acceptable bool) outcome {
	if err := r.sameSite(req); err != nil {
		return fail(err)
	}
	rt, q, err := r.dispatch(req.Method, req.URL.EscapedPath())
	switch {
	case err != nil:
		return fail(err)
	case !acceptable:
		return fail(errStatus(http.StatusNotAcceptable))
	case len(req.URL.RawQuery) > maxQuery:
		return fail(errStatus(http.StatusRequestURITooLong))
	}
	q.query, _ = url.ParseQuery(req.URL.RawQuery) // what is malformed in it is left out
	q.newer = strings.EqualFold(req.Header.Get("Confluent-Accept-Unknown-Properties"), "true")
	if rt.method == http.MethodPost || rt.method == http.MethodPut {
		select {
		case r.bodies <- struct{}{}:
			defer func() { <-r.bodies }()
		case <-req.Context().Done():
			return fail(errStatus(http.StatusServiceUnavailable))
		}
		if q.body, err = readBody(req); err != nil {
			return fail(err)
		}
	}
	if rt.writes {
		return r.write(req.Context(), rt.decide, q)
	}
	return r.read(rt.decide, q)
}

// sameSite refuses what a page of another site makes a browser send.
func (r *Registry) sameSite(req *http.Request) *apiError {
	err := httpd.SameOrigin(req)
	if err == nil && r.guard.Open() && !r.o.Insecure {
		err = httpd.ByAddress(req)
	}
	if err != nil {
		return &apiError{http.StatusForbidden, http.StatusForbidden, err.Error()}
	}
	return nil
}

func readBody(req *http.Request) ([]byte, *apiError) {
	if text := req.Header.Get("Content-Type"); text != "" {
		media, _, err := mime.ParseMediaType(text)
		if err != nil || media != "application/octet-stream" && !slices.Contains(mediaTypes(), media) {
			return nil, errStatus(http.StatusUnsupportedMediaType)
		}
	}
	if req.ContentLength > maxBody {
		return nil, failf(codeTooLarge, "The body has %d bytes, more than %d.", req.ContentLength, maxBody)
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, req.Body, maxBody))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, failf(codeTooLarge, "The body has more than %d bytes.", maxBody)
	}
	if err != nil {
		return nil, errStatus(http.StatusBadRequest)
	}
	return body, nil
}

// acceptable picks the media type of the answer: the one with the highest quality, and of equal ones the preferred (RFC 9110 12.5.1).
func acceptable(accept []string) (string, bool) {
	list := strings.Join(accept, ",")
	if strings.TrimSpace(list) == "" {
		return mediaTypes()[0], true
	}
	best, bestQuality := "", 0.0
	for _, offer := range mediaTypes() {
		quality, specific := 0.0, 0
		for part := range strings.SplitSeq(list, ",") {
			media, params, err := mime.ParseMediaType(part)
			if err != nil {
				continue
			}
			n := map[string]int{offer: 3, "application/*": 2, "*/*": 1}[media]
			if n == 0 || n < specific {
				continue
			}
			specific, quality = n, 1
			if text, ok := params["q"]; ok {
				quality, _ = strconv.ParseFloat(text, 64)
			}
		}
		if quality > bestQuality {
			best, bestQuality = offer, quality
		}
	}
	return best, best != ""
}

func writeError(w http.ResponseWriter, e *apiError) {
	w.WriteHeader(e.status)
	_, _ = w.Write(mustMarshal(e))
}

// writeBody writes an answer. A list of schemas may be larger than the memory that one answer shall take, and is written one by one.
func writeBody(w http.ResponseWriter, body any) {
	switch body := body.(type) {
	case nothing:
		w.WriteHeader(http.StatusNoContent)
	case text:
		_, _ = io.WriteString(w, string(body))
	case []schemaAnswer:
		b := bufio.NewWriter(w)
		e := json.NewEncoder(b)
		e.SetEscapeHTML(false)
		_ = b.WriteByte('[')
		for i := range body {
			if i > 0 {
				_ = b.WriteByte(',')
			}
			if e.Encode(&body[i]) != nil { // the client went away
				return
			}
		}
		_ = b.WriteByte(']')
		_ = b.Flush()
	default:
		_, _ = w.Write(mustMarshal(body))
	}
}
