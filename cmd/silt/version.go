package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/siltlake/silt/internal/term"
)

type versionCmd struct{ outputFlag }

// A version says what was built, from Go's own record of it.
type version struct {
	Version  string `json:"version"`
	Commit   string `json:"commit"`
	Date     string `json:"date"` // of the commit
	Modified bool   `json:"modified"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func versionOf(build *debug.BuildInfo) version {
	v := version{Version: "devel", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if build == nil {
		return v
	}
	if m := build.Main.Version; m != "" && m != "(devel)" {
		v.Version = strings.TrimPrefix(m, "v")
	}
	for _, s := range build.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.time":
			v.Date = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}

func (v version) String() string {
	s := "silt " + v.Version
	if v.Commit != "" {
		s += fmt.Sprintf(" (commit %.12s, %s", v.Commit, v.Date)
		if v.Modified {
			s += ", modified"
		}
		s += ")"
	}
	return s + " " + v.Go + " " + v.Platform
}

// Run prints the version.
func (c *versionCmd) Run(a *app) error {
	v := versionOf(a.build)
	if c.Output.Machine() {
		return term.WriteJSON(a.out, v)
	}
	_, err := io.WriteString(a.out, v.String()+"\n")
	return err
}
