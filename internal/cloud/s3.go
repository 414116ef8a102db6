package cloud

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/store"
)

// S3's names of the operations, for messages; a policy's rights are called alike.
const (
	s3PutObject      = "PutObject"
	s3GetObject      = "GetObject"
	s3HeadObject     = "HeadObject"
	s3ListObjects    = "ListObjectsV2"
	s3DeleteObject   = "DeleteObject"
	s3CreateUpload   = "CreateMultipartUpload"
	s3UploadPart     = "UploadPart"
	s3CompleteUpload = "CompleteMultipartUpload"
	s3AbortUpload    = "AbortMultipartUpload"
	s3ListUploads    = "ListMultipartUploads"
)

// An s3Backend keeps objects in a bucket of S3, or of a store that speaks its protocol and has conditional writes.
type s3Backend struct {
	place  Place
	client *s3.Client
	login  *s3Login // nil: requests are not signed
	sse    s3Encryption
	now    func() time.Time
	quote  quoter
}

var _ backend = (*s3Backend)(nil)

// s3Encryption is how the store encrypts new objects; its zero value is the bucket's own default.
type s3Encryption struct {
	algorithm types.ServerSideEncryption
	kmsKey    *string // nil: the account's default key
	bucketKey *bool
}

// newS3 returns the backend of a place.
func newS3(ctx context.Context, c s3Config, env Env) (backend, error) {
	cfg, err := c.load(ctx, env, false)
	if err != nil {
		return nil, problem.New(problem.InvalidValue, "the configuration of AWS cannot be used").Because(err).
			Fix("see the files in ~/.aws, AWS_PROFILE and aws_profile")
	}
	if cfg.Region == "" {
		return nil, c.noRegion()
	}
	b := &s3Backend{place: c.place, sse: c.sse, now: env.now, quote: quoter{secrets: env.Secrets}}
	if !c.auth.anonymous() {
		if b.login, err = newS3Login(ctx, c, env); err != nil {
			return nil, problem.New(problem.InvalidValue, "credentials of S3 cannot be read").Because(err)
		}
		b.quote = b.login.quote()
	}
	transport, err := s3Transport(env)
	if err != nil {
		return nil, err
	}
	b.client = s3.NewFromConfig(cfg, func(o *s3.Options) {
		if b.login != nil {
			o.Credentials = b.login
		}
		if c.endpoint != "" {
			o.BaseEndpoint = aws.String(c.endpoint)
		}
		o.UsePathStyle = c.pathStyle
		o.EndpointOptions.DisableHTTPS = c.insecure
		o.HTTPClient = newClient(transport)
		o.Retryer = aws.NopRetryer{}
		o.RetryMaxAttempts = 1
		// Checksums in trailers are more than many stores understand that speak S3's protocol. What is written is safe without them: the
		// signature holds the body's SHA-256, and the store refuses what does not fit it. Over TLS the SDK would leave that out.
		o.APIOptions = append(o.APIOptions, signBodies)
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		if c.requesterPays {
			o.APIOptions = append(o.APIOptions, smithyhttp.SetHeaderValue("x-amz-request-payer", "requester"))
		}
	})
	// A profile may name an endpoint, too.
	if e := b.client.Options().BaseEndpoint; e != nil && !c.allowHTTP {
		if u, err := url.Parse(*e); err == nil && u.Scheme == "http" && !option.Loopback(u.Hostname()) {
			return nil, problem.New(problem.Insecure, "the profile's endpoint_url asks %s by plain http", u.Host).
				Fix("use https, or set allow_http: true if everyone on the network may read and change the table")
		}
	}
	return b, nil
}

// s3Transport returns what sends requests.
func s3Transport(env Env) (http.RoundTripper, error) {
	if env.Transport != nil {
		return env.Transport, nil
	}
	t := newTransport()
	var err error
	t.TLSClientConfig.RootCAs, err = s3Authorities(env)
	return t, err
}

// s3Authorities are those that AWS_CA_BUNDLE names, which it does for AWS's SDKs too; nil, the system's, if there is no such variable.
func s3Authorities(env Env) (*x509.CertPool, error) {
	file := env.variable("AWS_CA_BUNDLE")
	if file == "" {
		return nil, nil
	}
	text, err := option.ReadFile(file, maxAuthorities)
	if err != nil {
		return nil, problem.New(problem.FileUnreadable, "AWS_CA_BUNDLE %s cannot be read", file).Because(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, problem.New(problem.InvalidValue, "AWS_CA_BUNDLE: %s holds no PEM certificate", file)
	}
	return roots, nil
}

// maxAuthorities is the largest file of certificates that is read.
const maxAuthorities = 8 << 20

// signBodies has the signature hold the body of every request.
func signBodies(stack *middleware.Stack) error {
	m := &v4.ComputePayloadSHA256{}
	_, err := stack.Finalize.Swap(m.ID(), m)
	return err
}

func (b *s3Backend) put(ctx context.Context, key string, data pieces, ifAbsent bool) error {
	in := &s3.PutObjectInput{
		Bucket: &b.place.Bucket, Key: aws.String(b.place.key(key)), Body: data.reader(), ContentLength: aws.Int64(data.size()),
		ServerSideEncryption: b.sse.algorithm, SSEKMSKeyId: b.sse.kmsKey, BucketKeyEnabled: b.sse.bucketKey,
	}
	if ifAbsent {
		in.IfNoneMatch = aws.String("*")
	}
	if _, err := b.client.PutObject(ctx, in); err != nil {
		return b.fail(s3PutObject, err)
	}
	return nil
}

func (b *s3Backend) get(ctx context.Context, key string, off, n int64) (io.ReadCloser, int64, error) {
	if n == 0 {
		size, _, err := b.head(ctx, key)
		return http.NoBody, size, err
	}
	in := &s3.GetObjectInput{Bucket: &b.place.Bucket, Key: aws.String(b.place.key(key))}
	switch {
	case n > 0:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-%d", off, off+n-1))
	case off > 0:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-", off))
	}
	out, err := b.client.GetObject(ctx, in)
	if err != nil {
		err = b.fail(s3GetObject, err)
		if e, ok := errors.AsType[*s3Error](err); ok && e.status == http.StatusRequestedRangeNotSatisfiable {
			size, _, err := b.head(ctx, key)
			return http.NoBody, size, err
		}
		return nil, 0, err
	}
	if out.ContentRange == nil {
		if off > 0 {
			out.Body.Close()
			return nil, 0, &s3Error{op: s3GetObject, status: http.StatusNotImplemented, code: "RangeIgnored",
				message: "the store answers a range with the whole object"}
		}
		body := out.Body
		if n > 0 {
			body = limitedBody{io.LimitReader(out.Body, n), out.Body}
		}
		return body, aws.ToInt64(out.ContentLength), nil
	}
	from, size, ok := contentRange(*out.ContentRange)
	if !ok || from != off {
		out.Body.Close()
		return nil, 0, &s3Error{op: s3GetObject, status: http.StatusPartialContent,
			err: fmt.Errorf("the answer to a range from %d is %q", off, *out.ContentRange)}
	}
	return out.Body, size, nil
}

type limitedBody struct {
	io.Reader
	io.Closer
}

// head returns an object's size, and the upload that made it: see s3Upload.
func (b *s3Backend) head(ctx context.Context, key string) (int64, string, error) {
	out, err := b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.place.Bucket, Key: aws.String(b.place.key(key))})
	if err != nil {
		return 0, "", b.fail(s3HeadObject, err)
	}
	return aws.ToInt64(out.ContentLength), out.Metadata[uploadToken], nil
}

func (b *s3Backend) list(ctx context.Context, prefix, after, page string) ([]store.Info, string, error) {
	in := &s3.ListObjectsV2Input{Bucket: &b.place.Bucket, Prefix: aws.String(b.place.key(prefix))}
	if page != "" {
		in.ContinuationToken = &page
	} else if after != "" {
		in.StartAfter = aws.String(b.place.key(after))
	}
	out, err := b.client.ListObjectsV2(ctx, in)
	if err != nil {
		return nil, "", b.fail(s3ListObjects, err)
	}
	objects := make([]store.Info, 0, len(out.Contents))
	for _, o := range out.Contents {
		key, ok := b.relative(aws.ToString(o.Key))
		if !ok || strings.HasSuffix(key, "/") { // what consoles and Hadoop make of a folder
			continue
		}
		objects = append(objects, store.Info{Key: key, Size: aws.ToInt64(o.Size), Modified: aws.ToTime(o.LastModified)})
	}
	if !aws.ToBool(out.IsTruncated) {
		return objects, "", nil
	}
	if next := aws.ToString(out.NextContinuationToken); next != "" && next != page {
		return objects, next, nil
	}
	return nil, "", &s3Error{op: s3ListObjects, status: http.StatusOK, err: errors.New("a page that is not the last has no continuation token")}
}

// relative returns a key of the bucket as a key of the place.
func (b *s3Backend) relative(key string) (string, bool) {
	if b.place.Folder == "" {
		return key, key != ""
	}
	rest, ok := strings.CutPrefix(key, b.place.Folder+"/")
	return rest, ok && rest != ""
}

func (b *s3Backend) delete(ctx context.Context, key string) error {
	_, err := b.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.place.Bucket, Key: aws.String(b.place.key(key))})
	if err != nil {
		return b.fail(s3DeleteObject, err)
	}
	return nil
}

// clean lists every page before it aborts an upload of it, since the marker of the next page is one of them. S3 does not say which program
// began an upload: those of others that are as old are given up too.
func (b *s3Backend) clean(ctx context.Context, folder string, before time.Time) (n int, more bool, err error) {
	in := &s3.ListMultipartUploadsInput{Bucket: &b.place.Bucket}
	if prefix := b.place.key(folder); prefix != "" {
		in.Prefix = aws.String(strings.TrimSuffix(prefix, "/") + "/")
	}
	for {
		out, err := b.client.ListMultipartUploads(ctx, in)
		if err != nil {
			return n, false, b.fail(s3ListUploads, err)
		}
		for _, u := range out.Uploads {
			if u.Initiated == nil || !before.IsZero() && !u.Initiated.Before(before) {
				continue
			}
			gone, err := b.abort(ctx, aws.ToString(u.Key), aws.ToString(u.UploadId))
			if err != nil {
				return n, false, err
			}
			if gone {
				continue
			}
			if n++; n == cleanedAtOnce {
				return n, true, nil
			}
		}
		if !aws.ToBool(out.IsTruncated) || aws.ToString(out.NextKeyMarker) == "" {
			return n, false, nil
		}
		in.KeyMarker, in.UploadIdMarker = out.NextKeyMarker, out.NextUploadIdMarker
	}
}

// abort gives an unfinished upload up; gone says that there was none any more. key is one of the bucket.
func (b *s3Backend) abort(ctx context.Context, key, id string) (gone bool, err error) {
	_, err = b.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &b.place.Bucket, Key: &key, UploadId: &id})
	if err == nil {
		return false, nil
	}
	err = b.fail(s3AbortUpload, err)
	if b.failure(err).kind == uploadGone {
		return true, nil
	}
	return false, err
}

func (b *s3Backend) renew(ctx context.Context) (bool, error) {
	if b.login == nil {
		return false, nil
	}
	return b.login.renew(ctx)
}
