# wedsync: build, test, and produce evidence. `make` or `make help` lists the targets.
#
# Needs Go, make and git; Node and Chromium only where a target says so. Everything else comes from the
# Go module proxy. `bin/wedsync doctor` says what a machine lacks.

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help build test race vet fmt fuzz bench evidence verify crds clean FORCE

# The flags of xk6 (CGO off, paths trimmed), so that a binary built here, one built by xk6 and the
# tests of it share one build cache.
export GOFLAGS := -buildvcs=false -trimpath
BUILD := CGO_ENABLED=0 go build -ldflags '-s -w'

DRILLS ?= drill/steady.yaml drill/region-kill.yaml drill/region-silent.yaml
FUZZTIME ?= 60s

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: bin/wedsync bin/wedsync-server bin/k6 ## build the command line, the server, and k6 with the extension into bin/

# Go decides what is out of date, better than file times do.
bin/%: FORCE
	$(BUILD) -o $@ ./cmd/$*

evidence: build ## run the drills on three regions, write evidence/ and EVIDENCE.md (under 8 minutes on 2 cores)
	bin/wedsync drill run --evidence EVIDENCE.md $(DRILLS)

verify: bin/wedsync ## recompute every figure of the bundles in evidence/ and of EVIDENCE.md
	bin/wedsync verify --evidence EVIDENCE.md evidence/*/

test: vet build race ## everything that must hold, on a fresh clone (what CI runs)

vet:
	@unformatted=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); \
	if [ -n "$$unformatted" ]; then echo "not formatted, run 'make fmt':"; echo "$$unformatted"; exit 1; fi
	CGO_ENABLED=0 go vet ./...

# The drills come last and alone: they judge latencies.
race:
	CGO_ENABLED=1 go test -race -timeout 15m $$(go list ./... | grep -v /cmd/wedsync$$)
	CGO_ENABLED=1 go test -race -timeout 15m ./cmd/wedsync

fmt: ## format the Go code
	gofmt -w $$(git ls-files -co --exclude-standard '*.go')

fuzz: ## fuzz every parser, FUZZTIME (60s) each
	@for dir in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
	  for target in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' $$dir/*_test.go | cut -c6-); do \
	    echo "== $$dir $$target"; go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5s $$dir; \
	  done; done

bench: ## run the benchmarks, with allocations
	CGO_ENABLED=0 go test -run '^$$' -bench . -benchmem ./protocol/... ./server/... ./client/... ./xk6-wedsync/... ./cluster/... ./reports/...

crds: ## regenerate the embedded Chaos Mesh CRDs from the Go module
	go generate ./chaos

clean: ## remove what was built
	rm -rf bin run
