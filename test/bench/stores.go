package main

import (
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
		pid = a.PID
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
		pid = s.Pid()
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

// uploads compares the upload of a table's files with that of the SDK: one file after the other.
func (b *bench) uploads(ctx context.Context, name string, t topic, e emulator) ([]result, error) {
	file, dir, err := b.pipeline(siltRun{topic: t}, t.name())
	if err != nil {
		return nil, err
	}
	if _, err := b.measure(ctx, b.siltCPU, b.silt, "run", "-c", file, "--workers", "1"); err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(dir, "table", "*.parquet"))
	if err != nil {
		return nil, err
	}
	bytes := int64(0)
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			return nil, err
		}
		bytes += info.Size()
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	n := 0
	upload := func(with string) func() (sample, error) {
		return func() (sample, error) {
			n++
			order, err := json.Marshal(uploadOrder{Emulator: e, With: with, Folder: fmt.Sprintf("upload-%d", n), Files: files})
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
	medians, err := b.inTurn(upload("silt"), upload("sdk"))
	if err != nil {
		return nil, err
	}
	sdk := medians[1].result(name+": SDK's upload", t.Records)
	silt := medians[0].result(name+": silt's upload", t.Records)
	ratio := sdk.Seconds / silt.Seconds
	silt.Peer, silt.Ratio, silt.Want = "SDK's upload, seconds", &ratio, wantUpload
	silt.Note = fmt.Sprintf("%d files of %.1f MB in all: %.0f MB/s, the SDK %.0f MB/s", len(files), float64(bytes)/1e6,
		float64(bytes)/1e6/silt.Seconds, float64(bytes)/1e6/sdk.Seconds)
	return []result{silt, sdk}, os.RemoveAll(dir)
}

// An uploadOrder is what the upload command is to do.
type uploadOrder struct {
	Emulator emulator
	With     string // silt, sdk
	Folder   string
	Files    []string
}

// uploadCommand uploads files in a process of its own, and prints the seconds that the uploads took.
func uploadCommand(args []string) error {
	if len(args) != 1 {
		return errors.New("upload wants one argument")
	}
	var o uploadOrder
	if err := json.Unmarshal([]byte(args[0]), &o); err != nil {
		return err
	}
	ctx := context.Background()
	with, err := o.uploader(ctx)
	if err != nil {
		return err
	}
	begin := time.Now()
	for _, file := range o.Files {
		if err := uploadFile(ctx, with, file, o.Folder+"/"+filepath.Base(file)); err != nil {
			return err
		}
	}
	fmt.Println(time.Since(begin).Seconds())
	return nil
}

func uploadFile(ctx context.Context, with uploader, file, key string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	return errors.Join(with(ctx, key, f), f.Close())
}

// An uploader uploads a file.
type uploader func(ctx context.Context, key string, f *os.File) error

func (o uploadOrder) uploader(ctx context.Context) (uploader, error) {
	e := o.Emulator
	switch {
	case o.With == "silt":
		return siltUploader(ctx, e)
	case e.Kind == azurite:
		key, err := azblob.NewSharedKeyCredential(e.Login[0], e.Login[1])
		if err != nil {
			return nil, err
		}
		client, err := azblob.NewClientWithSharedKeyCredential(e.URL, key, nil)
		return func(ctx context.Context, key string, f *os.File) error {
			_, err := client.UploadFile(ctx, e.Bucket, key, f, nil)
			return err
		}, err
	}
	client := s3.New(s3.Options{BaseEndpoint: &e.URL, UsePathStyle: true, Region: "us-east-1",
		Credentials: credentials.NewStaticCredentialsProvider(e.Login[0], e.Login[1], "")})
	return func(ctx context.Context, key string, f *os.File) error {
		_, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(e.Bucket), Key: &key, Body: f})
		return err
	}, nil
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
