package main

import (
	"context"

	"github.com/siltlake/silt"
	"github.com/siltlake/silt/internal/config"
	"github.com/siltlake/silt/internal/delta"
	"github.com/siltlake/silt/internal/doctor"
	"github.com/siltlake/silt/internal/verify"
)

// An engine is what the subcommands do; tests give another one.
type engine struct {
	demo    func(ctx context.Context, o silt.DemoOptions) error
	run     func(ctx context.Context, p *config.Pipeline, o silt.RunOptions) error
	verify  func(ctx context.Context, path config.Path, o silt.VerifyOptions) (verify.Result, error)
	history func(ctx context.Context, path config.Path, limit int, o silt.TableOptions) ([]*delta.Commit, error)
	doctor  func(ctx context.Context, p *config.Pipeline, o silt.DoctorOptions) ([]doctor.Finding, error)
}

// newEngine is the engine of the binary.
func newEngine() engine {
	return engine{demo: silt.Demo, run: silt.Run, verify: silt.Verify, history: silt.History, doctor: silt.Doctor}
}
