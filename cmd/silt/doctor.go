package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/siltlake/silt"
	"github.com/siltlake/silt/internal/doctor"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/term"
)

type doctorCmd struct {
	clusterFlags
	outputFlag
}

// Run looks at everything that the pipeline needs, a line each. It changes nothing that it does not remove.
func (c *doctorCmd) Run(a *app) error {
	p, err := c.pipeline(a)
	if err != nil {
		return err
	}
	ctx, stop := a.interruptible("stopping")
	defer stop()
	o := silt.DoctorOptions{Log: a.log}
	var printed error
	if !c.Output.Machine() {
		o.Found = func(f doctor.Finding) {
			if err := writeFinding(a.out, f); err != nil && printed == nil {
				printed = err
			}
		}
	}
	findings, err := a.engine.doctor(ctx, p, o)
	switch {
	case err != nil:
		return problem.New(problem.Interrupted, "the examination was stopped before its end")
	case printed != nil:
		return printed
	case c.Output.Machine():
		err = term.WriteList(a.out, c.Output, findings)
	default:
		_, err = io.WriteString(a.out, summary(findings)+"\n")
	}
	if err != nil || doctor.Healthy(findings) {
		return err
	}
	return problem.New(problem.Unwell, "%s", summary(findings)).At(problem.File(p.File)).
		Fix("mend what failed from the top down: what comes later may depend on it")
}

// writeFinding prints a finding in one line: what was looked at, what was seen, what to do.
func writeFinding(w io.Writer, f doctor.Finding) error {
	line := fmt.Sprintf("%-8s %-10s %s  %s", f.Status, f.Check, f.Subject, f.Detail)
	if f.Code != "" {
		line += " (" + string(f.Code) + ")"
	}
	if f.Fix != "" {
		line += " -> " + f.Fix
	}
	_, err := io.WriteString(w, term.Clean(line)+"\n")
	return err
}

// summary counts the findings.
func summary(findings []doctor.Finding) string {
	var n [4]int
	for _, f := range findings {
		n[f.Status]++
	}
	parts := []string{term.Plural(int64(len(findings)), "check")}
	for _, s := range []doctor.Status{doctor.OK, doctor.Warning, doctor.Failed, doctor.Skipped} {
		if n[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n[s], s))
		}
	}
	return strings.Join(parts, " · ")
}
