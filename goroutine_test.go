package silt_test

import (
	"go/ast"
	"strings"
	"testing"
)

// uncaught lists every function that starts a goroutine which does not run under problem.Catch, and why it need not. What libraries start
// is theirs: a panic there ends the process, and nothing can be done about it.
var uncaught = map[string]string{
	"internal/microbatch/reading.go read":           "worker.run catches what it calls, part by part: it has to go on with the next chunk",
	"internal/microbatch/runner.go Runner.newRun":   "sleeps and cancels",
	"internal/microbatch/ahead.go run.goAhead":      "upcoming.run catches what it calls, part by part; else cancels",
	"internal/kafka/fetch.go fetcher.drain":         "waits and closes",
	"internal/kafka/probe.go Client.probe":          "sets a deadline",
	"internal/delta/commit.go linger":               "sets a timer, cancels",
	"internal/kafka/producer.go Client.NewProducer": "cancels",
	"internal/table/maintain.go maintainer.close":   "cancels",
	"internal/cloud/retry.go Store.once":            "cancels",
	"internal/cloud/upload.go upload.Commit":        "cancels",
}

// besideQueries are packages that a query does not run in.
var besideQueries = []string{
	"internal/broker/", "internal/httpd/", "internal/registryd/", "internal/datagen/", "internal/kafka/sourcetest/", "internal/store/storetest/",
}

func TestGoroutinesCatchPanics(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			where := s.name + " " + functionName(f)
			ast.Inspect(d, func(n ast.Node) bool {
				start := startsGoroutine(n)
				if start == nil || catches(start) {
					return true
				}
				if seen[where] = true; uncaught[where] == "" && !isBeside(s.name) {
					t.Errorf("%s starts a goroutine that does not run under problem.Catch and is not in the list: %s", s.set.Position(n.Pos()), where)
				}
				return true
			})
		}
	}
	for where := range uncaught {
		if !seen[where] {
			t.Errorf("%s is in the list and starts no such goroutine", where)
		}
	}
}

func isBeside(name string) bool {
	for _, p := range besideQueries {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// startsGoroutine returns the call that n is, if what is called runs in a goroutine of its own.
func startsGoroutine(n ast.Node) *ast.CallExpr {
	switch n := n.(type) {
	case *ast.GoStmt:
		return n.Call
	case *ast.CallExpr:
		if sel, ok := n.Fun.(*ast.SelectorExpr); ok && (sel.Sel.Name == "Go" || sel.Sel.Name == "AfterFunc") {
			return n
		}
	}
	return nil
}

func catches(call *ast.CallExpr) bool {
	found := false
	ast.Inspect(call, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			x, isName := sel.X.(*ast.Ident)
			found = found || isName && x.Name == "problem" && sel.Sel.Name == "Catch"
		}
		return !found
	})
	return found
}
