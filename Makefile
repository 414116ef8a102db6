# Targets for people and for .ci/run. `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.PHONY: help build test check lint race fuzz soak soak-demo bench demo example cross e2e apicurio clean

GO ?= go
# Kinds of machines that silt must compile for beside the one it is built on.
PLATFORMS := linux/arm64 darwin/arm64 windows/amd64
FUZZTIME ?= 30s
DEMO_FOR ?= 20m
# Where tests say which parts are missing on this machine, and what they counted.
SKIPPED := $(CURDIR)/build/skipped.txt
REPORT := $(CURDIR)/build/report.txt

help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-9s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## the binary, build/silt
	$(GO) build -trimpath -o build/silt ./cmd/silt

demo: build ## a broker, a registry, clickstream records, a query and a Delta table in one process; Ctrl-C stops it
	build/silt demo

example: ## a real Kafka topic into a Delta table on this machine, step by step
	scripts/example.sh

test: ## everything: check, race, other platforms, and the real parts, which are fetched once
	$(MAKE) --no-print-directory check
	$(MAKE) --no-print-directory race
	$(MAKE) --no-print-directory cross
	$(MAKE) --no-print-directory e2e

check: lint ## vet, staticcheck, gofmt and the quick tests: under two minutes
	$(GO) test ./...

lint: ## vet, staticcheck, gofmt
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$unformatted" ]; then echo "gofmt -w $$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) vet -tags e2e ./test/...
	$(GO) tool -modfile=go.tools.mod staticcheck ./...
	$(GO) tool -modfile=go.tools.mod staticcheck -tags e2e ./test/...

race: ## the quick tests under the race detector
	$(GO) test -race ./...

cross: ## compile for the other platforms, and the tests for the one that differs most
	@for platform in $(PLATFORMS); do \
	  echo "compile for $$platform"; \
	  GOOS=$${platform%/*} GOARCH=$${platform#*/} CGO_ENABLED=0 $(GO) build ./...; \
	done
	GOOS=windows GOARCH=amd64 CGO_ENABLED=0 $(GO) vet ./...

e2e: ## the tests with the real parts alone
	@mkdir -p build && rm -f $(SKIPPED) $(REPORT)
	SILT_SKIPPED=$(SKIPPED) SILT_REPORT=$(REPORT) $(GO) test -tags e2e -count=1 -timeout 50m ./test/parts ./test/e2e
	SILT_SKIPPED=$(SKIPPED) $(GO) test -count=1 -run OtherWriters ./internal/delta
	@if [ -s $(REPORT) ]; then cat $(REPORT); fi
	@if [ -s $(SKIPPED) ]; then \
	  echo "passed, but not everything ran on this machine:"; \
	  awk -F'\t' '{ sub("/.*", "", $$2); if (!seen[$$1 $$2]++) tests[$$1] = tests[$$1] " " $$2 } \
	    END { for (why in tests) print "  " why "\n    not run:" tests[why] }' $(SKIPPED); \
	else echo "passed, with every part"; fi

apicurio: ## the embedded registry beside Apicurio's, by hand: needs Java 21, as java or at SILT_JAVA21 (its home)
	SILT_APICURIO=1 CI=true $(GO) test -tags e2e -count=1 -timeout 30m -v -run AnswersAsApicurio ./test/e2e

fuzz: ## every fuzz target for FUZZTIME (30s)
	scripts/fuzz.sh $(FUZZTIME)

soak: ## kills, the oracle, the stores, their storms and races with the counts of docs/reliability.md, by hand
	SILT_SOAK=1 $(GO) test -tags e2e -count=1 -timeout 4h -v -run 'Kills|Others|Azurite|S3$$|FakeGCS|UploadsThrough|Storms|TwoRuns|LoseItsAnswer' ./test/e2e

soak-demo: ## the demo at full rate for DEMO_FOR (20m): its memory, descriptors and disk, by hand
	SILT_DEMO_FOR=$(DEMO_FOR) $(GO) test -tags e2e -count=1 -timeout 4h -v -run 'DemoStaysFlat' ./test/e2e

bench: ## speed against the library path and the yardstick: a table and build/bench.json
	$(GO) run ./test/bench

clean: ## remove what was built, and the example
	rm -rf build example
