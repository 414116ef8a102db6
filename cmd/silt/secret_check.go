package main

import (
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/term"
)

type secretCheckCmd struct {
	clusterFlags
	outputFlag
}

// A checkedReference is a reference of a pipeline file and whether it gives a value.
type checkedReference struct {
	File      string `json:"file"`
	Line      int    `json:"line"`
	Column    int    `json:"column"`
	Option    string `json:"option"`
	Reference string `json:"reference"`
	OK        bool   `json:"ok"`
	Problem   string `json:"problem,omitempty"`
	Hint      string `json:"hint,omitempty"`
}

// Run resolves the references. Other mistakes in the file are those of silt run; one of its scopes is shown here.
func (c *secretCheckCmd) Run(a *app) error {
	p, err := c.pipeline(a)
	if err != nil {
		return err
	}
	list := []checkedReference{}
	bad := int64(0)
	table := term.NewTable(term.Column{Name: "where"}, term.Column{Name: "option"}, term.Column{Name: "reference"}, term.Column{Name: ""})
	for _, r := range p.References {
		e := checkedReference{File: r.Where.File, Line: r.Where.Line, Column: r.Where.Col, Option: r.Option, Reference: r.Text, OK: r.Problem == nil}
		status := "ok"
		if r.Problem != nil {
			bad++
			status = a.secrets.String(r.Problem.Message)
			e.Problem, e.Hint = status, a.secrets.String(r.Problem.Hint)
			if e.Hint != "" {
				status += " -> " + e.Hint
			}
		}
		list = append(list, e)
		table.Row(r.Where.String(), r.Option, r.Text, status)
	}
	if c.Output.Machine() {
		err = term.WriteList(a.out, c.Output, list)
	} else {
		if len(list) == 0 {
			a.say("%s refers to no secret", p.File)
		}
		err = table.Write(a.out, "")
	}
	if err == nil && len(p.ScopeProblems) > 0 {
		return p.ScopeProblems
	}
	if err == nil && bad > 0 {
		return problem.New(problem.SecretUnresolved, "%d of %s give no value", bad, term.Plural(int64(len(list)), "reference")).At(problem.File(p.File))
	}
	return err
}
