package broker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A header is the start of a request: key and version of its API, and the number that its answer carries.
type header struct {
	key, version int16
	correlation  int32
}

// headerBytes is the length of the part of a request's header that all versions share.
const headerBytes = 8

// errFrame is a request that no client sends; its connection is closed, as Apache Kafka does.
var errFrame = errors.New("malformed request")

// readSize reads the length of a frame and refuses one that is negative, too short for a header, or over limit, before memory is taken.
func readSize(r io.Reader, limit int) (int, error) {
	var b [4]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return 0, err
	}
	size := int64(int32(binary.BigEndian.Uint32(b[:])))
	if size < headerBytes || size > int64(limit) {
		return 0, fmt.Errorf("%w: %d bytes, want %d to %d", errFrame, size, headerBytes, limit)
	}
	return int(size), nil
}

// parseHeader returns the header of a frame without its length, and its body. It never reads the body.
func parseHeader(frame []byte) (header, []byte, error) {
	r := kbin.Reader{Src: frame}
	h := header{key: r.Int16(), version: r.Int16(), correlation: r.Int32()}
	flexible, known := isFlexible(h.key, h.version)
	if !known {
		return h, nil, fmt.Errorf("%w: API %d version %d", errFrame, h.key, h.version)
	}
	_ = r.NullableString() // client id
	if flexible {
		skipTags(&r)
	}
	if !r.Ok() {
		return h, nil, fmt.Errorf("%w: header", errFrame)
	}
	return h, r.Src, nil
}

// isFlexible says whether a request of the version has tagged fields (KIP-482), and whether there is such a request at all. An ApiVersions
// request of any version is one: a newer client learns from the answer what to ask for (KIP-511).
func isFlexible(key, version int16) (flexible, known bool) {
	if key == int16(kmsg.ApiVersions) && version > 3 {
		return true, true
	}
	req := kmsg.RequestForKey(key)
	if req == nil || version < 0 || version > req.MaxVersion() {
		return false, false
	}
	req.SetVersion(version)
	return req.IsFlexible(), true
}

// skipTags is kmsg.SkipTags, which loops up to four thousand million times over a count that the bytes do not back.
func skipTags(r *kbin.Reader) {
	for n := r.Uvarint(); n > 0 && r.Ok(); n-- {
		r.Uvarint()
		r.Span(int(r.Uvarint()))
	}
}

// appendResponse appends an answer with its length and header.
func appendResponse(dst []byte, correlation int32, resp kmsg.Response) []byte {
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = kbin.AppendInt32(dst, correlation)
	if resp.IsFlexible() && resp.Key() != int16(kmsg.ApiVersions) {
		dst = append(dst, 0) // no tagged fields; the header of ApiVersions never has any (KIP-511)
	}
	dst = resp.AppendTo(dst)
	binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	return dst
}

// requestFrame is a request with its length and header, without a client id.
func requestFrame(correlation int32, req kmsg.Request) []byte {
	return kmsg.NewRequestFormatter().AppendRequest(nil, req, correlation)
}
