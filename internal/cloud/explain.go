package cloud

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/siltlake/silt/internal/problem"
)

// An operation is what a call does, for messages.
type operation string

const (
	opPut    operation = "put"
	opUpload operation = "upload"
	opGet    operation = "get"
	opList   operation = "list"
	opDelete operation = "delete"
	opClean  operation = "clean"
)

// rights are the names that the clouds give to the right that an operation needs.
var rights = map[operation]struct{ word, s3, gcs, azure string }{
	opPut:    {"write", "s3:PutObject", "storage.objects.create and storage.objects.delete", "Storage Blob Data Contributor"},
	opUpload: {"write", "s3:PutObject", "storage.objects.create", "Storage Blob Data Contributor"},
	opGet:    {"read", "s3:GetObject", "storage.objects.get", "Storage Blob Data Reader"},
	opList:   {"list", "s3:ListBucket", "storage.objects.list", "Storage Blob Data Reader"},
	opDelete: {"delete", "s3:DeleteObject", "storage.objects.delete", "Storage Blob Data Contributor"},
	opClean: {"list and abort uploads", "s3:ListBucketMultipartUploads and s3:AbortMultipartUpload", "storage.multipartUploads.abort",
		"Storage Blob Data Contributor"},
}

// logins are the variables that give one, the most usual.
var logins = map[Cloud]string{
	Azure: "AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN, or AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET",
	S3:    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
	GCS:   "GOOGLE_APPLICATION_CREDENTIALS",
}

// at is where a problem is.
func (s *Store) at(key string) problem.Location {
	if key == "" {
		return problem.File(s.place.Text)
	}
	return problem.File(s.place.Text + "/" + key)
}

// explain makes the error of a call of what came of its attempts; nil if the last one succeeded. It never matches the error of a context
// that is not the caller's.
func (s *Store) explain(op operation, key string, r *result) error {
	switch {
	case r.ok():
		return nil
	case r.stopped == errOver && r.failure.noHost:
		p := problem.New(problem.StoreFailed, "the store's host has no address").At(s.at("")).Because(opaque(r.err))
		p.Retryable = true
		return p.Fix("correct the name in the path or the endpoint in sink.storageOptions, or look at this machine's DNS")
	case r.stopped == errOver:
		return s.outage(op, key, r)
	case r.stopped != nil && r.err != nil:
		return fmt.Errorf("%s %s: %w; before that: %v", op, key, r.stopped, r.err)
	case r.stopped != nil:
		return fmt.Errorf("%s %s: %w", op, key, r.stopped)
	}
	bucket := s.place.Bucket
	switch r.failure.kind {
	case notFound:
		return fmt.Errorf("%s %s: %w", op, key, fs.ErrNotExist)
	case exists:
		return fmt.Errorf("%s %s: %w", op, key, fs.ErrExist)
	case noBucket:
		return problem.New(problem.NoBucket, "there is no %s %s", s.place.Cloud.bucket(), bucket).At(s.at("")).Because(opaque(r.err)).
			Fix("make the %s, or correct the path", s.place.Cloud.bucket())
	case loggedOut:
		if r.failure.noLogin {
			p := problem.New(problem.StoreLogin, "there is nothing to log in to the store with").At(s.at("")).Because(opaque(r.err))
			p.Retryable = true // what gives the machine's login may not be up yet
			return p.Fix("give a login in sink.storageOptions of a pipeline file (-c FILE), or in the environment: %s", logins[s.place.Cloud])
		}
		p := problem.New(problem.StoreLogin, "the store does not take the credentials").At(s.at("")).Because(opaque(r.err))
		p.Retryable = true // whoever rotates a key need not be the first to know the new one
		return p.Fix("correct the credentials in sink.storageOptions, or where they come from, and look at the machine's clock")
	case denied:
		return s.denied(op, key, r)
	case unsafeTLS:
		return problem.New(problem.StoreTLS, "the store's certificate does not verify").At(s.at("")).Because(opaque(r.err)).
			Fix("add the authority that signed it to this machine's certificates, or correct the endpoint")
	}
	return problem.New(problem.StoreFailed, "the store refuses to %s %s", op, key).At(s.at("")).Because(opaque(r.err))
}

// outage is the error of a call whose budget is used up.
func (s *Store) outage(op operation, key string, r *result) error {
	why := s.circuit.last()
	if r.err != nil {
		why = r.err.Error()
	}
	p := problem.New(problem.StoreFailed, "the store did not %s within %s", op, budget).At(s.at(key)).Because(errors.New(why))
	p.Retryable = true
	return p.Fix("look whether the store can be reached and whether it limits requests")
}

// denied names the right and the prefix that it is needed on. The error matches fs.ErrPermission.
func (s *Store) denied(op operation, key string, r *result) error {
	right := rights[op]
	name := map[Cloud]string{S3: right.s3, GCS: right.gcs, Azure: right.azure}[s.place.Cloud]
	below := s.place.key(key)
	if op == opClean && below != "" {
		below = strings.TrimSuffix(below, "/") + "/"
	}
	below = below[:strings.LastIndexByte(below, '/')+1] + "*"
	p := problem.New(problem.StoreDenied, "the credentials lack the right to %s", right.word).At(s.at(key))
	p.Why, p.Err = r.err.Error(), fs.ErrPermission
	hint := fmt.Sprintf("grant %s on %s in %s %s", name, below, s.place.Cloud.bucket(), s.place.Bucket)
	if s.place.Cloud == S3 && op == opGet {
		hint += "; S3 answers so, too, for an object that does not exist, if s3:ListBucket is missing"
	}
	return p.Fix("%s", hint)
}

// disordered is the error of a listing that does not go on.
func (s *Store) disordered(prefix, last, key string) error {
	p := problem.New(problem.StoreFailed, "the store lists %q after %q", key, last).At(s.at(prefix))
	p.Retryable = true
	return p.Fix("use a store that lists objects in the order of their keys; S3's directory buckets do not")
}

// opaque keeps an error's text only: what an SDK wraps, such as the deadline of one attempt, must not be taken for what happened to the
// call.
func opaque(err error) error { return errors.New(err.Error()) }
