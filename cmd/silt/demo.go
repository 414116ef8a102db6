package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/siltlake/silt"
	"github.com/siltlake/silt/internal/config"
	"github.com/siltlake/silt/internal/datagen"
	"github.com/siltlake/silt/internal/microbatch"
	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/term"
)

type demoCmd struct {
	Connector string `placeholder:"FILE" help:"A connector's JSON, as Connect or Confluent Cloud takes it, in place of the CLICKSTREAM one."`
	Rate      rate   `placeholder:"N/s" help:"Records a second; by default as the connector's max.interval says, about 4."`
	For       period `placeholder:"TIME" help:"Stop by itself after so long."`
	Dir       string `default:"demo" placeholder:"FOLDER" help:"Where everything is kept (${default}); another start goes on there."`
	Clean     bool   `help:"Remove what a demo made in the folder, after a question."`
	Yes       bool   `short:"y" help:"Answer the question of --clean with yes."`
	outputFlag
}

// A rate is a flag that is a number of records a second: 500 or 500/s.
type rate float64

const maxRate = 10_000_000

func (r *rate) UnmarshalText(text []byte) error {
	n, err := strconv.ParseFloat(strings.TrimSuffix(string(text), "/s"), 64)
	if err != nil || !(n > 0 && n <= maxRate) {
		return problem.New(problem.Usage, "%q is no rate; want records a second up to %s, such as 50000/s", text, term.Count(maxRate))
	}
	*r = rate(n)
	return nil
}

// A period is a flag that is a time span without a limit of its own.
type period time.Duration

func (p *period) UnmarshalText(text []byte) error {
	d, ok := option.ParseDuration(string(text))
	if !ok || d <= 0 {
		return problem.New(problem.Usage, `%q is no time span; want one such as 20s or "20 minutes"`, text)
	}
	*p = period(d)
	return nil
}

// Validate is called by kong after the flags were read.
func (c *demoCmd) Validate() error {
	switch {
	case c.Clean && (c.Connector != "" || c.Rate != 0 || c.For != 0):
		return problem.New(problem.Usage, "--clean removes a demo and runs none: --connector, --rate and --for say nothing to it")
	case c.Yes && !c.Clean:
		return problem.New(problem.Usage, "-y answers the question of --clean")
	}
	return nil
}

// Run runs the demo until it is interrupted, and then proves what is in its table.
func (c *demoCmd) Run(a *app) error {
	if c.Clean {
		return c.clean(a)
	}
	ctx, stop := a.interruptible("stopping: the running batch is committed; once more stops at once")
	defer stop()
	var ready silt.DemoReady
	started := time.Now()
	rows := int64(0)
	err := a.engine.demo(ctx, silt.DemoOptions{
		Version: versionOf(a.build).Version, Dir: c.Dir, Connector: c.Connector, Rate: float64(c.Rate), For: time.Duration(c.For),
		Env: a.env, Secrets: a.secrets, Log: a.log,
		OnReady: func(r silt.DemoReady) {
			ready = r
			a.introduce(r, float64(c.Rate))
		},
		OnConnectorEnd: func(s datagen.Status) { c.connectorEnd(a, s) },
		OnProgress: func(p microbatch.Progress, e microbatch.Extra) {
			rows += e.Rows
			a.progress(c.Output, p, e)
		},
	})
	if status := problem.ExitStatus(err); status == problem.ExitBadRecord || status == problem.ExitSchemaChange {
		// The next start meets the same records.
		a.say("the pipeline is %s: change it there, then start the demo again", near(ready.Pipeline))
	}
	if err != nil || ready.Dir == "" {
		return err
	}
	return c.close(a, ready, rows, time.Since(started))
}

// connectorEnd says why the connector writes no more, and how to go on.
func (c *demoCmd) connectorEnd(a *app, s datagen.Status) {
	switch err := s.Failure(); {
	case err != nil:
		a.log.Error("the connector has failed; "+a.name+" datagen restart"+c.dirFlag()+" starts it again", "error", err)
	case s.Connector.State == datagen.Stopped:
		a.say("the connector is stopped; %s datagen resume%s starts it again", a.name, c.dirFlag())
	default:
		a.say("the connector has written the %s it was asked for", term.Plural(s.Records(), "record"))
	}
}

// introduce says what runs, how to look at it, and how another client logs in.
func (a *app) introduce(r silt.DemoReady, rate float64) {
	pace := "every ≤" + r.Connector.MaxInterval.String()
	if rate > 0 {
		pace = term.Rate(rate)
	}
	name := strings.TrimPrefix(r.Registry, "http://127.0.0.1")
	a.say("broker %s · registry %s · topic %s (%s, %s) · datagen %s", r.Broker, name, r.Topic, term.Plural(int64(r.Partitions), "partition"),
		strings.ToLower(string(r.Connector.Output)), pace)
	a.say("table %s · checkpoint %s", near(r.Table), near(r.Checkpoint))
	if r.Resumed {
		a.say("goes on where the last run ended")
	}
	for _, n := range r.Connector.Notes {
		a.say("no effect here: %s", n)
	}
	pipeline := near(r.Pipeline)
	a.say("")
	a.say("look at it, in another terminal")
	a.say("  %s topic peek %s -n 3 -c %s", a.name, r.Topic, pipeline)
	a.say("  %s table history %s", a.name, near(r.Table))
	a.say("  %s table verify %s --scan", a.name, near(r.Table))
	a.say("log in with another client")
	a.say("  kcat -F %s -t %s -C -c 3", near(filepath.Join(r.Folder, "librdkafka.properties")), r.Topic)
	a.say("  kafka-console-consumer --consumer.config %s --topic %s --bootstrap-server %s",
		near(filepath.Join(r.Folder, "client.properties")), r.Topic, r.Broker)
	a.say("  %s has the registry's URL and key pair", near(filepath.Join(r.Folder, "registry.properties")))
	a.say("")
}

// near shortens a path below the working directory.
func near(path string) string {
	wd, err := os.Getwd()
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(wd, path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}

// close prints what the demo did and what the table's log proves.
func (c *demoCmd) close(a *app, ready silt.DemoReady, rows int64, took time.Duration) error {
	if cleared := a.status.Clear(); cleared != nil {
		return cleared
	}
	a.say("ran %s · %s into %s", took.Round(time.Second), term.Plural(rows, "row"), near(ready.Table))
	if _, err := os.Stat(filepath.Join(ready.Dir, "_delta_log")); errors.Is(err, os.ErrNotExist) {
		a.say("nothing was committed yet; run it again to go on")
		return nil
	}
	ctx, stop := a.interruptible("stopping")
	defer stop()
	r, err := a.engine.verify(ctx, config.Path{Text: ready.Dir, Dir: ready.Dir}, silt.VerifyOptions{TableOptions: silt.TableOptions{Log: a.log}})
	if err != nil {
		return err
	}
	if !c.Output.Machine() { // the batches are the result of -o json
		if _, err := io.WriteString(a.out, "  "+verdict(r)+"\n"); err != nil {
			return err
		}
	}
	a.say("run it again to go on, or remove it all: %s demo --clean%s", a.name, c.dirFlag())
	return r.Err()
}

func (c *demoCmd) dirFlag() string {
	if c.Dir == "demo" {
		return ""
	}
	return " --dir " + c.Dir
}

// clean removes what a demo made.
func (c *demoCmd) clean(a *app) error {
	made, err := silt.DemoMade(c.Dir)
	if err != nil {
		return err
	}
	a.say("this removes")
	for _, path := range made {
		a.say("  %s", path)
	}
	if !c.Yes {
		if !a.interactive {
			return problem.New(problem.Usage, "nobody can be asked whether to remove it").Fix("add -y")
		}
		if _, err := io.WriteString(a.status, "  remove it? [y/N] "); err != nil {
			return err
		}
		line, err := bufio.NewReader(a.stdin).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return problem.New(problem.FileUnreadable, "the answer cannot be read: %w", err)
		}
		if answer := strings.ToLower(strings.TrimSpace(line)); answer != "y" && answer != "yes" {
			a.say("nothing was removed")
			return nil
		}
	}
	for _, path := range made {
		if err := os.RemoveAll(path); err != nil {
			return problem.New(problem.PathNotWritable, "it cannot be removed: %w", err).At(problem.File(path))
		}
	}
	return a.result(c.Output, struct {
		Removed []string `json:"removed"`
	}{made}, "removed %s", fmt.Sprint(c.Dir))
}
