package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/siltlake/silt"
	"github.com/siltlake/silt/internal/config"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/registry"
)

type registryCmd struct {
	Subjects registrySubjectsCmd `cmd:"" help:"List the subjects."`
	Versions registryVersionsCmd `cmd:"" help:"List the versions of a subject."`
	Get      registryGetCmd      `cmd:"" help:"Print a schema, of a subject or of an id."`
	Diff     registryDiffCmd     `cmd:"" help:"Compare two versions of a subject, or a file with one, field by field."`
	Check    registryCheckCmd    `cmd:"" help:"Ask the registry whether a schema may become the next version of a subject."`
	Register registryRegisterCmd `cmd:"" help:"Register a schema as the next version of a subject."`
	Delete   registryDeleteCmd   `cmd:"" help:"Delete a subject or one of its versions."`
	Serve    registryServeCmd    `cmd:"" help:"Run a registry that keeps its schemas in a Kafka topic."`
}

// withRegistry calls do with a client of the registry, and with the pipeline that names it.
func (f clusterFlags) withRegistry(a *app, do func(context.Context, *registry.Client, *config.Pipeline) error) error {
	p, err := f.pipeline(a)
	if err != nil {
		return err
	}
	c, err := silt.Registry(p, a.log)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, stop := a.interruptible("stopping")
	defer stop()
	return do(ctx, c, p)
}

// schemaFlags are a schema that is not in the registry yet.
type schemaFlags struct {
	File       string   `short:"f" placeholder:"FILE" help:"The schema's text; - is stdin."`
	Type       string   `default:"AVRO" enum:"AVRO,JSON,PROTOBUF" help:"The schema's type: ${enum} (${default})."`
	References []string `name:"reference" sep:"none" placeholder:"NAME=SUBJECT:VERSION" help:"A schema that this one refers to by name; may be repeated."`
}

func (f schemaFlags) check() error {
	if f.File == "" {
		return problem.New(problem.Usage, "the schema is missing").Fix("name its file: -f FILE, or -f - for stdin")
	}
	_, err := f.references()
	return err
}

func (f schemaFlags) references() ([]registry.Reference, error) {
	var out []registry.Reference
	for _, text := range f.References {
		name, target, ok := strings.Cut(text, "=")
		at := strings.LastIndexByte(target, ':')
		if !ok || name == "" || at < 1 {
			return nil, problem.New(problem.Usage, "--reference is %q; want NAME=SUBJECT:VERSION", text)
		}
		version, err := strconv.Atoi(target[at+1:])
		if target[at+1:] == registry.Latest {
			version, err = -1, nil
		}
		if err != nil || version < -1 || version == 0 {
			return nil, problem.New(problem.Usage, "--reference is %q; want a version from 1, or latest", text)
		}
		out = append(out, registry.Reference{Name: name, Subject: target[:at], Version: version})
	}
	return out, nil
}

// schema reads the file.
func (f schemaFlags) schema(a *app) (registry.NewSchema, error) {
	text, err := a.readInput(f.File)
	if err != nil {
		return registry.NewSchema{}, err
	}
	refs, err := f.references()
	return registry.NewSchema{Type: f.Type, Text: text, References: refs}, err
}

// subjectOf is the subject that a command means: the one it names, else that of the values of the pipeline's topic.
func subjectOf(p *config.Pipeline, named string) (string, error) {
	if named != "" {
		return named, nil
	}
	v, _ := p.Kafka.Lookup("subscribe")
	topic := strings.TrimSpace(v.Text)
	if topic == "" || strings.Contains(topic, ",") {
		return "", problem.New(problem.Usage, "the subject is missing").Fix("name it; the pipeline file reads several topics")
	}
	return topic + "-value", nil
}

// parseVersion checks the name of a version: a number from 1, or latest.
func parseVersion(text string) error {
	n, err := strconv.Atoi(text)
	if text == registry.Latest || err == nil && n >= 1 {
		return nil
	}
	return problem.New(problem.Usage, "%q is no version; want a number from 1, or latest", text)
}

// pretty is a schema's text for people: JSON is indented, Protobuf is as it is.
func pretty(text string) string {
	var b bytes.Buffer
	if json.Indent(&b, []byte(text), "", "  ") != nil {
		return text
	}
	return b.String()
}

// A schemaVersion is a version of a subject as programs read it, with the names of the registry's own API.
type schemaVersion struct {
	Subject    string               `json:"subject,omitempty"`
	Version    int                  `json:"version,omitempty"`
	ID         *int32               `json:"id"` // null: not registered
	Type       string               `json:"schemaType"`
	Schema     string               `json:"schema,omitempty"`
	References []registry.Reference `json:"references,omitempty"`
}

func versionJSON(v registry.Version) schemaVersion {
	return schemaVersion{v.Subject, v.Version, &v.ID, v.Type, v.Text, v.References}
}

func referenceText(refs []registry.Reference) string {
	var parts []string
	for _, r := range refs {
		version := strconv.Itoa(r.Version)
		if r.Version == -1 {
			version = registry.Latest
		}
		parts = append(parts, fmt.Sprintf("%s=%s:%s", r.Name, r.Subject, version))
	}
	return strings.Join(parts, " ")
}
