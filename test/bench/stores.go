package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/siltlake/silt/internal/cloud"
	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/test/parts"
)

const (
	wantStore  = 1 / 1.3 // rows a CPU second into an object store, of those onto local disk
	wantUpload = 0.85    // bytes a second of an upload, of those of the cloud's SDK
)

// An emulator is an object store in a process of its own.
type emulator struct {
	Kind    string            // azurite, versitygw
	URL     string            // of its service
	Bucket  string            // or container
	Login   []string          // account or key id, and key or secret
	Options map[string]string // of sink.storageOptions
	stop    func() error
}

// folder is the URL of a folder of the bucket, as a pipeline file has it.
func (e emulator) folder(name string) string {
	if e.Kind == azurite {
		return "abfss://" + e.Bucket + "@" + e.Login[0] + ".dfs.core.windows.net/" + name
	}
	return "s3://" + e.Bucket + "/" + name
}

const (
	azurite   = "azurite"
	versitygw = "versitygw"
)

// startEmulator starts one on the broker's core, with its objects on the disk of the cache.
func (b *bench) startEmulator(ctx context.Context, kind string) (e emulator, err error) {
	dir, err := os.MkdirTemp(b.work, kind+"-")
	if err != nil {
		return emulator{}, err
	}
	var pid int
	switch kind {
	case azurite:
		a, err := parts.StartAzurite(dir, filepath.Join(dir, "data"))
		if err != nil {
			return emulator{}, err
		}
		e = emulator{Kind: kind, URL: a.URL, Bucket: "bench", Login: []string{parts.AzuriteAccount, parts.AzuriteKey}, stop: a.Stop,
			Options: map[string]string{"azure_storage_use_emulator": "true", "azure_storage_endpoint": a.URL}}
		pid = a.PID()
		if err := a.CreateContainer(ctx, e.Bucket); err != nil {
			return emulator{}, errors.Join(err, a.Stop())
		}
	case versitygw:
		s, err := parts.StartVersitygw(dir)
		if err != nil {
			return emulator{}, err
		}
		e = emulator{Kind: kind, URL: s.URL, Bucket: s.Bucket, Login: []string{s.KeyID, s.Secret}, stop: s.Stop,
			Options: map[string]string{"fs.s3a.access.key": s.KeyID, "fs.s3a.secret.key": s.Secret, "fs.s3a.endpoint": s.URL,
				"fs.s3a.endpoint.region": "us-east-1", "fs.s3a.path.style.access": "true"}}
		pid = s.PID()
	}
	if pin := pinned(b.brokerCPU); pin != nil { // all threads of a process that runs already
		if text, err := exec.CommandContext(ctx, pin[0], "-a", "-c", "-p", b.brokerCPU, strconv.Itoa(pid)).CombinedOutput(); err != nil {
			return emulator{}, errors.Join(fmt.Errorf("taskset: %w: %s", err, text), e.stop())
		}
	}
	return e, nil
}

// storeCase compares one core's work into an object store with that onto local disk, and an upload of the same files with the SDK's.
func storeCase(t topic, kind string) func(context.Context, *bench, string) ([]result, error) {
	return func(ctx context.Context, b *bench, name string) (results []result, err error) {
		if err := b.fill(ctx, t); err != nil {
			return nil, err
		}
		e, err := b.startEmulator(ctx, kind)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, e.stop()) }()
		local := siltRun{topic: t, cpus: b.siltCPU, workers: 1}
		remote := local
		remote.store = &e
		medians, err := b.inTurn(
			func() (sample, error) { return b.runSilt(ctx, remote) },
			func() (sample, error) { return b.runSilt(ctx, local) },
		)
		if err != nil {
			return nil, err
		}
		disk := medians[1].result(name+": local disk", t.Records)
		into := medians[0].result(name, t.Records).against(disk, "local disk", wantStore)
		uploads, err := b.uploads(ctx, name, t, e)
		return append([]result{into, disk}, uploads...), err
	}
}

// fullFile is the size of a file of a table that has many rows: sink.delta.targetFileSize by default.
const fullFile = 128 << 20

// uploads compares uploads with those of the SDK: of the table's one file with one put, and of one as large as silt makes them, which goes out
// in parts, with the SDK's own in parts.
func (b *bench) uploads(ctx context.Context, name string, t topic, e emulator) (results []result, err error) {
	file, dir, err := b.pipeline(siltRun{topic: t}, t.name())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if _, err := b.measure(ctx, b.siltCPU, b.silt, "run", "-c", file, "--workers", "1"); err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(dir, "table", "*.parquet"))
	if err != nil || len(files) != 1 {
		return nil, errors.Join(err, fmt.Errorf("the table has %d files, want one", len(files)))
	}
	full := filepath.Join(dir, "full")
	if err := repeat(full, files[0], fullFile); err != nil {
		return nil, err
	}
	for _, f := range []struct {
		file, what, peer string
	}{{files[0], "its file", byPut}, {full, "full file", byParts}} {
		r, err := b.upload(ctx, name+", "+f.what, t, e, f.file, f.peer)
		if err != nil {
			return nil, err
		}
		results = append(results, r...)
	}
	return results, nil
}

// repeat writes a file of n bytes, those of another over and over. It holds none of them: see fill.
func repeat(to, from string, n int64) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	for n > 0 {
		if _, err := in.Seek(0, io.SeekStart); err != nil {
			return err
		}
		part := min(n, info.Size())
		if _, err := io.CopyN(out, in, part); err != nil {
			return err
		}
		n -= part
	}
	return nil
}

// upload compares the upload of one file with the SDK's, in one put and in parts.
func (b *bench) upload(ctx context.Context, name string, t topic, e emulator, file, peer string) ([]result, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	n := 0
	with := func(what string) func() (sample, error) {
		return func() (sample, error) {
			n++
			order, err := json.Marshal(uploadOrder{Emulator: e, With: what, Key: fmt.Sprintf("%s/%d", name, n), File: file})
			if err != nil {
				return sample{}, err
			}
			s, err := b.measure(ctx, b.siltCPU, self, "upload", string(order))
			if err != nil {
				return s, err
			}
			return s, json.Unmarshal(s.stdout, &s.seconds)
		}
	}
	medians, err := b.inTurn(with(bySilt), with(byPut), with(byParts))
	if err != nil {
		return nil, err
	}
	megabytes := float64(info.Size()) / 1e6
	silt, put := medians[0].result(name, t.Records), medians[1].result(name+": SDK's put", t.Records)
	parts := medians[2].result(name+": SDK in parts", t.Records)
	ratio := put.Seconds / silt.Seconds
	if peer == byParts {
		ratio = parts.Seconds / silt.Seconds
	}
	silt.Peer, silt.Ratio, silt.Want = "SDK's "+peer+", seconds", &ratio, wantUpload
	silt.Note = fmt.Sprintf("%.1f MB: silt %.0f MB/s, the SDK %.0f MB/s in one put and %.0f MB/s in parts of 8 MiB", megabytes,
		megabytes/silt.Seconds, megabytes/put.Seconds, megabytes/parts.Seconds)
	return []result{silt, put, parts}, nil
}

// An uploadOrder is what the upload command is to do.
type uploadOrder struct {
	Emulator  emulator
	With      string
	Key, File string
}

// What uploads a file: a cloud.Store, or the cloud's SDK.
const (
	bySilt  = "silt"
	byPut   = "put"
	byParts = "parts"
)

// timedUploads are those of a process that count: the one before them makes connections and buffers, as the first of a query does.
const timedUploads = 3

// uploadCommand uploads a file a few times in a process of its own, and prints the seconds that one took.
func uploadCommand(args []string) error {
	if len(args) != 1 {
		return errors.New("upload wants one argument")
	}
	var o uploadOrder
	if err := json.Unmarshal([]byte(args[0]), &o); err != nil {
		return err
	}
	ctx := context.Background()
	upload, err := o.uploader(ctx)
	if err != nil {
		return err
	}
	var begin time.Time
	for n := range 1 + timedUploads {
		if n == 1 {
			begin = time.Now()
		}
		f, err := os.Open(o.File)
		if err != nil {
			return err
		}
		if err := errors.Join(upload(ctx, fmt.Sprintf("%s/%d", o.Key, n), f), f.Close()); err != nil {
			return err
		}
	}
	fmt.Println(time.Since(begin).Seconds() / timedUploads)
	return nil
}

// An uploader uploads a file.
type uploader func(ctx context.Context, key string, f *os.File) error

func (o uploadOrder) uploader(ctx context.Context) (uploader, error) {
	switch {
	case o.With == bySilt:
		return siltUploader(ctx, o.Emulator)
	case o.Emulator.Kind == azurite:
		return azureUploader(o.Emulator, o.With)
	}
	return s3Uploader(o.Emulator, o.With), nil
}

// uploadPart is how large the parts are, as silt's.
const uploadPart = 8 << 20

func azureUploader(e emulator, with string) (uploader, error) {
	login, err := azblob.NewSharedKeyCredential(e.Login[0], e.Login[1])
	if err != nil {
		return nil, err
	}
	client, err := azblob.NewClientWithSharedKeyCredential(e.URL, login, nil)
	return func(ctx context.Context, key string, f *os.File) (err error) {
		if with == byPut { // as UploadFile does up to 256 MB
			_, err = client.UploadFile(ctx, e.Bucket, key, f, nil)
		} else {
			_, err = client.UploadStream(ctx, e.Bucket, key, f, &azblob.UploadStreamOptions{BlockSize: uploadPart})
		}
		return err
	}, err
}

func s3Uploader(e emulator, with string) uploader {
	client := s3.New(s3.Options{BaseEndpoint: &e.URL, UsePathStyle: true, Region: "us-east-1",
		Credentials: credentials.NewStaticCredentialsProvider(e.Login[0], e.Login[1], "")})
	return func(ctx context.Context, key string, f *os.File) error {
		if with == byParts {
			return s3Parts(ctx, client, e.Bucket, key, f)
		}
		_, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: &e.Bucket, Key: &key, Body: f})
		return err
	}
}

// s3Parts uploads a file in parts, one after the other.
func s3Parts(ctx context.Context, client *s3.Client, bucket, key string, f *os.File) error {
	upload, err := client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return err
	}
	var parts []types.CompletedPart
	for part := make([]byte, uploadPart); ; {
		n, err := io.ReadFull(f, part)
		if err == io.EOF {
			break
		}
		if err != nil && err != io.ErrUnexpectedEOF {
			return err
		}
		number := aws.Int32(int32(len(parts)) + 1)
		out, err := client.UploadPart(ctx, &s3.UploadPartInput{Bucket: &bucket, Key: &key, UploadId: upload.UploadId, PartNumber: number,
			Body: bytes.NewReader(part[:n])})
		if err != nil {
			return err
		}
		parts = append(parts, types.CompletedPart{ETag: out.ETag, PartNumber: number})
	}
	_, err = client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: &bucket, Key: &key, UploadId: upload.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}})
	return err
}

func siltUploader(ctx context.Context, e emulator) (uploader, error) {
	place, p := cloud.ParsePlace(strings.TrimSuffix(e.folder(""), "/"))
	if p != nil {
		return nil, p
	}
	var values []option.Value
	for name, text := range e.Options {
		values = append(values, option.Value{Key: name, Text: text})
	}
	o, problems := cloud.ParseOptions(option.NewValues("sink.storageOptions", problem.Location{}, values...), cloud.Env{}, place)
	if len(problems) > 0 {
		return nil, problem.List(problems)
	}
	s, err := cloud.Open(ctx, place, o, cloud.Env{}, nil)
	return func(ctx context.Context, key string, f *os.File) error {
		u, err := s.Create(ctx, key)
		if err != nil {
			return err
		}
		if _, err := io.CopyBuffer(struct{ io.Writer }{u}, struct{ io.Reader }{f}, make([]byte, 1<<20)); err != nil {
			return errors.Join(err, u.Abort(ctx))
		}
		return u.Commit(ctx)
	}, err
}
