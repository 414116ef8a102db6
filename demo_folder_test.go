package silt

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/siltlake/silt/internal/broker"
	"github.com/siltlake/silt/internal/datagen"
)

// TestDemoGoesOnAfterAFirstStartThatWroteFilesInPart lets the first start end at one of its files, as a kill would, which leaves half of the
// temporary one.
func TestDemoGoesOnAfterAFirstStartThatWroteFilesInPart(t *testing.T) {
	brokerDir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	b, err := broker.Start(ctx, broker.Options{Dir: brokerDir})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(ctx)
	connector := datagen.Config{Topic: "clickstreams", Output: datagen.Avro}
	write := func(f *demoFolder) error {
		err := f.complete(b, 8081, 8083)
		if err == nil {
			_, err = f.connector("")
		}
		if err == nil {
			err = f.writePipeline(connector)
		}
		return err
	}
	for _, last := range []string{
		demoState, demoCA, demoClient, demoLibrdkafka, demoRegistry, demoConnector, demoPipeline, demoSecretsDir + "/api-key",
		demoSecretsDir + "/registry-api-secret",
	} {
		t.Run(last, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "demo")
			first, err := openDemoFolder(dir)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(filepath.Join(dir, demoBrokerDir), 0o700); err != nil {
				t.Fatal(err)
			}
			// A directory in the place of the temporary file: nothing is written from here on.
			temporary := filepath.Join(dir, last+".tmp")
			if err := os.MkdirAll(temporary, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := write(first); err == nil {
				t.Fatalf("nothing wrote %s", last)
			}
			if err := os.Remove(temporary); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(temporary, []byte("half of"), 0o600); err != nil {
				t.Fatal(err)
			}
			second, err := openDemoFolder(dir)
			if err != nil {
				t.Fatal(err)
			}
			if want := last != demoState; second.resumed != want || want && second.state.RegistrySecret != first.state.RegistrySecret {
				t.Errorf("went on: %v, want %v; with the same key pair: %v", second.resumed, want, second.state == first.state)
			}
			if err := write(second); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{demoState, demoCA, demoClient, demoLibrdkafka, demoRegistry, demoConnector, demoPipeline} {
				if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || len(text) == 0 {
					t.Errorf("%s: %d bytes, %v", name, len(text), err)
				}
			}
		})
	}
}

// TestDemoRefusesAFolderOfOthers: it must not write into a folder, or remove one, that it did not make.
func TestDemoRefusesAFolderOfOthers(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, demoPipeline), []byte("name: mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openDemoFolder(dir); err == nil {
		t.Error("a folder with a pipeline file and no demo.json was taken")
	}
	if _, err := DemoMade(dir); err == nil {
		t.Error("a folder without demo.json is a demo's to remove")
	}
}
