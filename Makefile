# wedsync: build, test, and produce evidence. `make` or `make help` lists the targets.
#
# Needs Go, Node, make and git. Everything else comes from the Go module proxy, the npm registry and, for
# the tests, Debian's packages (`make tools`). `bin/wedsync doctor` says what a machine lacks.

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help build tools test race vet fmt fuzz bench bench-peers bench-k6 cost microbench evidence drills verify crds clean FORCE

# The flags of xk6 (CGO off, paths trimmed), so that a binary built here, one built by xk6 and the
# tests of it share one build cache.
export GOFLAGS := -buildvcs=false -trimpath
BUILD := CGO_ENABLED=0 go build -ldflags '-s -w'

DRILLS ?= drill/steady.yaml drill/region-kill.yaml drill/region-silent.yaml
FUZZTIME ?= 60s

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: bin/wedsync bin/wedsync-server bin/k6 ## build the command line, the server, and k6 with the extension into bin/

# Go decides what is out of date, better than file times do.
bin/%: FORCE
	$(BUILD) -o $@ ./cmd/$*

evidence: build ## run the drills on three regions, write evidence/ and EVIDENCE.md (under 8 minutes on 2 cores)
	bin/wedsync drill run --evidence EVIDENCE.md $(DRILLS)

# The short ones; soak.yaml takes half an hour more.
ALL_DRILLS = $(filter-out drill/soak.yaml,$(wildcard drill/*.yaml))
drills: build ## run every drill but the soak, and write evidence/ and EVIDENCE.md (25 minutes)
	bin/wedsync drill run --evidence EVIDENCE.md $(ALL_DRILLS)

verify: bin/wedsync ## recompute every figure of the bundles in evidence/ and of EVIDENCE.md
	bin/wedsync verify --evidence EVIDENCE.md evidence/*/

# Debian would start a database of its own with the package; the tests start theirs.
tools: ## install what the tests run besides Go and Node: PostgreSQL
	@if ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && ! command -v initdb >/dev/null; then \
	  if [ "$$(id -u)" != 0 ]; then echo "PostgreSQL is not installed: run 'apt-get install postgresql' as root"; exit 1; fi; \
	  mkdir -p /etc/postgresql-common; echo 'create_main_cluster = false' >> /etc/postgresql-common/createcluster.conf; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql; \
	fi
	@command -v node >/dev/null || { echo "Node is not installed: the stock clients are tested with it (20 or newer)"; exit 1; }

test: tools vet build race ## everything that must hold, on a fresh clone (what CI runs)

vet:
	@unformatted=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); \
	if [ -n "$$unformatted" ]; then echo "not formatted, run 'make fmt':"; echo "$$unformatted"; exit 1; fi
	CGO_ENABLED=0 go vet ./...

# The drills judge latencies, and the stock clients wait for regions to be noticed as dead: they come last,
# and each alone.
ALONE := /cmd/wedsync$$|/conformance/stock$$
race:
	CGO_ENABLED=1 go test -race -timeout 15m $$(go list ./... | grep -Ev '$(ALONE)')
	CGO_ENABLED=1 go test -race -timeout 15m -p 1 $$(go list ./... | grep -E '$(ALONE)')

fmt: ## format the Go code
	gofmt -w $$(git ls-files -co --exclude-standard '*.go')

fuzz: ## fuzz every parser, FUZZTIME (60s) each
	@for dir in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
	  for target in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' $$dir/*_test.go | cut -c6-); do \
	    echo "== $$dir $$target"; go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5s $$dir; \
	  done; done

bench: build ## measure the server as a whole, beside a bare gorilla floor and the peers that are installed: a table, and JSON in run/ (10 minutes; with peers 25)
	@mkdir -p run
	bin/wedsync bench --json run/bench.json --out run/bench $(if $(wildcard run/peers),--peers run/peers)

bench-peers: ## install the other servers that `make bench` compares with, into run/peers (Centrifugo, Socket.IO)
	mkdir -p run/peers/centrifugo run/peers/socketio
	cd bench/peers/centrifugo && GOFLAGS=-trimpath CGO_ENABLED=0 GOBIN=$(CURDIR)/run/peers/centrifugo go install github.com/centrifugal/centrifugo/v5
	cp bench/peers/centrifugo/config.json run/peers/centrifugo/
	cp bench/peers/socketio/{package.json,package-lock.json,server.mjs,.npmrc} run/peers/socketio/
	cd run/peers/socketio && npm ci --no-audit --no-fund

bench-k6: build ## measure the extension beside k6/websockets and a bare Go client on the same traffic (6 minutes)
	@mkdir -p run
	bin/wedsync bench generators --json run/bench-k6.json

cost: build ## measure what 1,000 to 10,000 connections cost, and draw docs/cost.svg (15 minutes)
	@mkdir -p run
	bin/wedsync bench --only curve --json run/cost.json
	bin/wedsync bench plot run/cost.json docs/cost.svg

microbench: ## run the benchmarks of the packages, with allocations
	CGO_ENABLED=0 go test -run '^$$' -bench . -benchmem ./protocol/... ./server/... ./client/... ./xk6-wedsync/... ./cluster/... ./reports/...

crds: ## regenerate the embedded Chaos Mesh CRDs from the Go module
	go generate ./chaos

clean: ## remove what was built
	rm -rf bin run
