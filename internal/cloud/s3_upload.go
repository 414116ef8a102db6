package cloud

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/uuid"
)

// uploadToken is the name in an object's metadata (x-amz-meta-silt-upload) of a random id of the upload that made it. It tells an upload
// whose last answer was lost from another writer's object.
const uploadToken = "silt-upload"

// An s3Upload is a multipart upload.
type s3Upload struct {
	b     *s3Backend
	key   string // relative to the place
	token string
	id    string // S3's

	mu sync.Mutex
	// parts are the entity tags that S3 gave, by number.
	parts []types.CompletedPart
}

func (b *s3Backend) partsInOrder() bool { return false }

// begin implements backend. An upload whose answer is lost stays behind without parts, for clean or for a lifecycle rule of the bucket.
func (b *s3Backend) begin(ctx context.Context, key string) (multipart, error) {
	u := &s3Upload{b: b, key: key, token: uuid.NewString()}
	out, err := b.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: &b.place.Bucket, Key: u.fullKey(), Metadata: map[string]string{uploadToken: u.token},
		ServerSideEncryption: b.sse.algorithm, SSEKMSKeyId: b.sse.kmsKey, BucketKeyEnabled: b.sse.bucketKey,
	})
	if err != nil {
		return nil, b.fail(s3CreateUpload, err)
	}
	if u.id = aws.ToString(out.UploadId); u.id == "" {
		return nil, &s3Error{op: s3CreateUpload, status: http.StatusOK, err: errors.New("the answer has no upload id")}
	}
	return u, nil
}

func (u *s3Upload) fullKey() *string { return aws.String(u.b.place.key(u.key)) }

func (u *s3Upload) part(ctx context.Context, n int, data []byte) error {
	number := aws.Int32(int32(n) + 1)
	out, err := u.b.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &u.b.place.Bucket, Key: u.fullKey(), UploadId: &u.id, PartNumber: number,
		Body: bytes.NewReader(data), ContentLength: aws.Int64(int64(len(data))),
	})
	if err != nil {
		return u.b.fail(s3UploadPart, err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for len(u.parts) <= n {
		u.parts = append(u.parts, types.CompletedPart{})
	}
	u.parts[n] = types.CompletedPart{ETag: out.ETag, PartNumber: number}
	return nil
}

// finish makes the object. Of a request whose answer was lost the repetition finds the object there (412) or the upload gone (404), and so
// does one that another writer came before: the token in the object's metadata tells them apart.
func (u *s3Upload) finish(ctx context.Context, n int, rest []byte) error {
	err := u.complete(ctx, n, rest)
	if err == nil {
		return nil
	}
	k := u.b.failure(err).kind
	if k != exists && k != uploadGone {
		return err
	}
	_, token, headErr := u.b.head(ctx, u.key)
	switch {
	case headErr == nil && token == u.token:
		return nil
	case headErr == nil:
		return &s3Error{op: s3CompleteUpload, status: http.StatusPreconditionFailed, code: "PreconditionFailed",
			message: fmt.Sprintf("another writer made %s", u.key)}
	case u.b.failure(headErr).kind == notFound:
		// uploadGone; or it was there and is no longer, and the next attempt makes it.
		if k == exists {
			return &s3Error{op: s3HeadObject, status: http.StatusConflict, code: "ConditionalRequestConflict",
				message: fmt.Sprintf("%s came and went", u.key)}
		}
		return err
	}
	return headErr
}

func (u *s3Upload) complete(ctx context.Context, n int, rest []byte) error {
	if len(rest) > 0 && len(u.parts) <= n {
		if err := u.part(ctx, n, rest); err != nil {
			return err
		}
	}
	out, err := u.b.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &u.b.place.Bucket, Key: u.fullKey(), UploadId: &u.id, IfNoneMatch: aws.String("*"),
		MultipartUpload: &types.CompletedMultipartUpload{Parts: u.parts},
	})
	if err != nil {
		return u.b.fail(s3CompleteUpload, err)
	}
	if aws.ToString(out.ETag) == "" {
		// S3 answers 200 at once and sends the outcome when it knows it; here it never came.
		return &s3Error{op: s3CompleteUpload, status: http.StatusOK, err: errors.New("the answer ended before the outcome")}
	}
	return nil
}

func (u *s3Upload) cancel(ctx context.Context) error {
	_, err := u.b.abort(ctx, u.b.place.key(u.key), u.id)
	return err
}
