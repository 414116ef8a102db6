package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/siltlake/silt"
	"github.com/siltlake/silt/internal/datagen"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/term"
)

// demoConnectFile is the file in a demo's folder that says where its connector is.
const demoConnectFile = "connect.properties"

// connectorFlags say which running connector is meant.
type connectorFlags struct {
	Dir      string `placeholder:"FOLDER" help:"The folder of a running demo, whose connector is meant (demo)."`
	RESTFile string `name:"rest-file" placeholder:"FILE" help:"The file that a silt datagen --rest-file wrote."`
	outputFlag
}

// Validate is called by kong after the flags were read.
func (f *connectorFlags) Validate() error {
	if f.Dir != "" && f.RESTFile != "" {
		return problem.New(problem.Usage, "--dir and --rest-file exclude each other").Fix("leave one of them out")
	}
	return nil
}

type (
	datagenStatusCmd  struct{ connectorFlags }
	datagenPauseCmd   struct{ connectorFlags }
	datagenResumeCmd  struct{ connectorFlags }
	datagenRestartCmd struct{ connectorFlags }
	datagenStopCmd    struct{ connectorFlags }
)

// Run shows the connector.
func (c *datagenStatusCmd) Run(a *app) error { return c.ask(a, "") }

// Run pauses the connector and shows it.
func (c *datagenPauseCmd) Run(a *app) error { return c.ask(a, datagen.Pause) }

// Run resumes the connector and shows it.
func (c *datagenResumeCmd) Run(a *app) error { return c.ask(a, datagen.Resume) }

// Run restarts the connector and shows it.
func (c *datagenRestartCmd) Run(a *app) error { return c.ask(a, datagen.Restart) }

// Run stops the connector and shows it.
func (c *datagenStopCmd) Run(a *app) error { return c.ask(a, datagen.Stop) }

// ask asks the connector for the action, unless it is "", and shows what it then does.
func (f *connectorFlags) ask(a *app, action datagen.Action) error {
	file := f.RESTFile
	if file == "" {
		dir := f.Dir
		if dir == "" {
			dir = "demo"
		}
		file = filepath.Join(dir, demoConnectFile)
	}
	client, err := silt.ReadRESTFile(file)
	if err != nil {
		return err
	}
	a.secrets.Add(client.Secret)
	ctx, stop := a.interruptible("stopping: the connector may do what it was asked for all the same")
	defer stop()
	s, err := askConnector(ctx, client, action)
	if err != nil {
		return err
	}
	return showConnector(a, f.Output, s)
}

func askConnector(ctx context.Context, c *datagen.Client, action datagen.Action) (datagen.Status, error) {
	name, err := c.Name(ctx)
	if err == nil && action != "" {
		err = c.Do(ctx, name, action)
	}
	if err == nil && action == datagen.Stop {
		// A stopped connector has no tasks in Connect either, and the process of this one may have ended with it.
		return datagen.Status{Name: name, Connector: datagen.ConnectorState{State: datagen.Stopped}, Tasks: []datagen.TaskState{}, Type: "source"}, nil
	}
	if err != nil {
		return datagen.Status{}, err
	}
	return c.Status(ctx, name)
}

// showConnector prints the status, as Connect's JSON for programs.
func showConnector(a *app, format term.Format, s datagen.Status) error {
	if format.Machine() {
		return term.WriteJSON(a.out, s)
	}
	state := fmt.Sprintf("%s  %s", s.Name, s.Connector.State)
	if s.Connector.Trace != "" {
		state += "  " + s.Connector.Trace
	}
	if _, err := fmt.Fprintln(a.out, term.Clean(state)); err != nil {
		return err
	}
	table := term.NewTable(term.Column{Name: "task", Right: true}, term.Column{Name: "state"}, term.Column{Name: "records", Right: true},
		term.Column{Name: "why"})
	for _, t := range s.Tasks {
		table.Row(fmt.Sprint(t.ID), string(t.State), term.Count(t.Records), t.Trace)
	}
	return table.Write(a.out, "")
}
