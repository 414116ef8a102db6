//go:build e2e

package e2e

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/siltlake/silt/test/faultproxy"
	"github.com/siltlake/silt/test/parts"
)

// An emulator is an object store in a process of its own, one for all tests, each of which has folders of its own there.
type emulator struct {
	name string
	url  string // of its HTTP service, without a path
	// folder is a folder's URL, as a pipeline file has it.
	folder func(path string) string
	// options are the storage options of a pipeline file, for a store that is asked at url, and their names are those that Spark's users
	// know; reader are delta-rs's.
	options func(url string) pipeline
	reader  map[string]string
	stop    func() error
}

// emulators are the object stores that all that follows is proved on: the function starts one at its first call.
var emulators = []struct {
	name  string
	start func() (*emulator, error)
}{
	{"azurite", sync.OnceValues(azuriteEmulator)},
	{"versitygw", sync.OnceValues(versitygwEmulator)},
	{"fake-gcs-server", sync.OnceValues(fakeGCSEmulator)},
}

// running are those that were started; only the goroutine of the tests uses it.
var running []*emulator

// onEveryEmulator runs a test on each of them, one after the other.
func onEveryEmulator(t *testing.T, test func(t *testing.T, e *emulator)) {
	for _, e := range emulators {
		t.Run(e.name, func(t *testing.T) {
			started, err := e.start()
			parts.Need(t, err)
			started.name = e.name
			test(t, started)
		})
	}
}

func azuriteEmulator() (*emulator, error) {
	a, err := parts.StartAzurite(scratch, "")
	if err != nil {
		return nil, err
	}
	const container = "data"
	e := &emulator{
		url: strings.TrimSuffix(a.URL, "/"+parts.AzuriteAccount), stop: a.Stop,
		folder: func(path string) string {
			return "abfss://" + container + "@" + parts.AzuriteAccount + ".dfs.core.windows.net/delta/" + path
		},
		options: func(url string) pipeline {
			return pipeline{
				"fs.azure.account.key." + parts.AzuriteAccount + ".dfs.core.windows.net": parts.AzuriteKey,
				"azure_storage_endpoint": url + "/" + parts.AzuriteAccount,
			}
		},
		reader: map[string]string{
			"azure_storage_account_name": parts.AzuriteAccount, "azure_storage_account_key": parts.AzuriteKey,
			"azure_storage_endpoint": a.URL, "allow_http": "true",
		},
	}
	running = append(running, e)
	return e, a.CreateContainer(context.Background(), container)
}

func versitygwEmulator() (*emulator, error) {
	s, err := parts.StartVersitygw(filepath.Join(scratch, "versitygw"))
	if err != nil {
		return nil, err
	}
	e := &emulator{
		url: s.URL, stop: s.Stop,
		folder: func(path string) string { return "s3a://" + s.Bucket + "/delta/" + path },
		options: func(url string) pipeline {
			return pipeline{
				"fs.s3a.access.key": s.KeyID, "fs.s3a.secret.key": s.Secret,
				"fs.s3a.endpoint": url, "fs.s3a.path.style.access": true,
			}
		},
		reader: map[string]string{
			"aws_access_key_id": s.KeyID, "aws_secret_access_key": s.Secret, "aws_endpoint_url": s.URL, "aws_region": "us-east-1",
			"aws_allow_http": "true",
		},
	}
	running = append(running, e)
	return e, nil
}

func fakeGCSEmulator() (*emulator, error) {
	s, err := parts.StartFakeGCS(scratch, "")
	if err != nil {
		return nil, err
	}
	const bucket = "silt"
	e := &emulator{
		url: s.URL, stop: s.Stop,
		folder: func(path string) string { return "gs://" + bucket + "/delta/" + path },
		options: func(url string) pipeline {
			return pipeline{"fs.gs.storage.root.url": url, "fs.gs.auth.type": "UNAUTHENTICATED"}
		},
		reader: map[string]string{"google_base_url": s.URL, "google_skip_signature": "true", "allow_http": "true"},
	}
	running = append(running, e)
	return e, s.MakeBucket(bucket)
}

// A remote is where a fixture's table and checkpoint are: a folder of an emulator.
type remote struct {
	*emulator
	folder string
}

// moveTo puts the fixture's table and checkpoint into a folder of an emulator, which silt asks at url: the emulator's own, or that of a proxy
// before it. Other readers ask the emulator itself.
func (f *fixture) moveTo(e *emulator, url, folder string) {
	f.t.Helper()
	f.remote = &remote{e, folder}
	f.set(f.table(), "sink", "delta", "path")
	f.set(e.folder(folder+"/checkpoint"), "checkpointLocation")
	f.set(e.options(url), "sink", "storageOptions")
}

// readerOptions are delta-rs's storage_options for the table, nil for a local one.
func (f *fixture) readerOptions() map[string]string {
	if f.remote == nil {
		return nil
	}
	return f.remote.reader
}

// proxied starts a proxy before an emulator.
func proxied(t *testing.T, e *emulator) *faultproxy.Proxy {
	t.Helper()
	p, err := faultproxy.Start(e.url)
	if err != nil {
		t.Fatal(err)
	}
	stopAtEnd(t, p.Close)
	return p
}
