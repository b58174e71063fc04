# tapecast: everything is built and tested from here; `make help` lists what there is.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
export CGO_ENABLED := 1
# The same for all that is built, or the cache has each package twice.
export GOFLAGS ?= -trimpath

GO       ?= go
# How long each fuzz target runs in `make fuzz`.
FUZZTIME ?= 10s
# What `make bench` runs, and how often.
BENCH    ?= .
COUNT    ?= 1
# Further flags of `make bench-peers`, like --only gws,tapecast; bin/peers run -h lists them.
PEERS    ?=
# The least statement coverage, in percent, of each package in COVERED.
COVERMIN ?= 85
COVERED  := rooms loop loop/crowd loop/netpoll loop/proxyheader loop/tlsconn loop/upgrade loop/wsread ingest ingest/jsonscan ingest/route ingest/demo server server/config server/registry server/logging server/auth server/limits server/admin server/session

# The faults of `make faults-e2e` by their names; all, if it is empty.
FAULTS   ?=

# The real Kafka and the recorded market that the end-to-end suite uses where they are.
export KAFKA_HOME    ?= $(abspath ../shared/kafka)
export TAPECAST_DATA ?= $(abspath ../shared/data)

E2E  := ./cmd/tapecast/e2e
UNIT  = $$($(GO) list ./... | grep -vx tapecast/cmd/tapecast/e2e)

.PHONY: help run sbom build test unit e2e browser client peers bench-peers race fuzz faults faults-e2e bench lint clean cover deps alerts redis balancers python

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

run: build ## build, then start the demo: embedded broker, generated market, gateway
	@exec bin/tapecast run

build: ## leave bin/tapecast and bin/tapecast-bench
	@mkdir -p bin
	$(GO) build -trimpath -o bin/ ./cmd/tapecast ./cmd/tapecast-bench

# Go and gcc build the gateway; Java is there for the real Kafka only.
deps:
	@KAFKA_HOME='$(KAFKA_HOME)' GO='$(GO)' bash .ci/deps

test: deps unit e2e peers ## unit tests, the end-to-end suite, and the peers' servers

# Tests mostly wait, so twice as many packages as processors of a small machine run side by side.
unit: ## the tests of all packages but the end-to-end suite
	$(GO) test -count=1 -p 4 -parallel 4 -timeout 10m $(UNIT)

e2e: ## the end-to-end suite: real binaries, real sockets, embedded broker and Kafka
	$(GO) test -count=1 -v -timeout 15m $(E2E)

# Chromium, and where node is 20.10 or later that too, which no other target takes.
browser: ## the clients of README and of their page, as they stand there, in node and in Chromium
	@KAFKA_HOME='$(KAFKA_HOME)' GO='$(GO)' bash .ci/deps
	@bash .ci/deps browser
	@command -v chromium >/dev/null || { echo "browser: skipped, there is no Chromium"; exit 0; }; \
	TAPECAST_E2E_BROWSER=1 $(GO) test -count=1 -v -timeout 3m -run TestBrowser $(E2E)

# esbuild makes the bundle, and is Go. The types, and the checks of the package, take npm.
client: ## make server/client/js/dist from src, check its npm package; the scenarios; a database and a stream
	@bash .ci/deps browser
	@GO='$(GO)' bash .ci/client
	$(GO) test -count=1 -v ./server/client/...
	TAPECAST_E2E_SQLITE=1 $(GO) test -count=1 -v -timeout 5m -run '^TestAggregator$$' $(E2E)

# Debian's redis-server, which no other target takes.
redis: ## a real redis-server behind the token cache: killed and back, slow, full, rubbish
	@bash .ci/deps redis
	@command -v redis-server >/dev/null || { echo "redis: skipped, there is no redis-server"; exit 0; }; \
	TAPECAST_E2E_REDIS=1 $(GO) test -count=1 -v -timeout 10m -run '^TestRedis' $(E2E)

# Debian's python3-websockets, which no other target takes.
python: ## the Python client of its page, as it stands there: cut off, its node killed, its token refused
	@bash .ci/deps python
	TAPECAST_E2E_PYTHON=1 $(GO) test -count=1 -v -timeout 3m -run '^TestPython$$' $(E2E)

# Debian's haproxy and nginx.
balancers: ## HAProxy and nginx, with the configurations of their page, before a gateway
	@bash .ci/deps balancers
	$(GO) test -count=1 -v -run '^TestBalancers$$' ./server
	TAPECAST_E2E_BALANCERS=1 $(GO) test -count=1 -v -timeout 3m -run '^TestBalancers$$' $(E2E)

# A module of its own, so that other servers' code is none of the gateway's.
peers: build ## the servers that tapecast is measured against, each with a few clients
	cd bench/peers && $(GO) vet ./... && $(GO) test -count=1 -timeout 5m ./... && $(GO) build -trimpath -o ../../bin/ .
	bin/peers run --quick

bench-peers: build ## tapecast and other servers in turns, 25 minutes at most; writes into bench/RESULTS.md
	cd bench/peers && $(GO) build -trimpath -o ../../bin/ .
	bin/peers run --into bench/RESULTS.md $(PEERS)

race: ## everything under the race detector, the end-to-end suite shortened
	$(GO) test -race -count=1 -timeout 15m $(UNIT)
	$(GO) test -race -count=1 -short -v -timeout 15m $(E2E)

fuzz: ## every fuzz target for FUZZTIME
	@bash .ci/fuzz '$(FUZZTIME)'

faults: ## plant faults in copies of rooms and loop/member, and see that the model finds each
	TAPECAST_FAULTS=1 $(GO) test -count=1 -v -timeout 60m -run TestFaults ./rooms

sbom: build ## the modules in bin/tapecast, as CycloneDX, in bin/tapecast.cdx.json
	$(GO) run github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.9.0 bin -json \
		-output bin/tapecast.cdx.json bin/tapecast

# FAULTS='clock:|network:' runs those whose names match. It prints a table; as root it has all faults.
faults-e2e: ## do harm to Kafka, clients and processes; each client must have each record once
	TAPECAST_E2E_FULL=1 TAPECAST_E2E_FAULTS='$(FAULTS)' $(GO) test -count=1 -v -timeout 90m -run TestTrial $(E2E)

bench: ## the benchmarks beside the code; BENCH=pattern COUNT=n
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) -timeout 60m ./...

lint: ## gofmt, vet, staticcheck, and the rules of the house
	@bash .ci/lint

alerts: ## load the alerting rules of server/deploy, and fire each one (promtool)
	@bash .ci/deps promtool
	@command -v promtool >/dev/null || { echo "alerts: skipped, there is no promtool"; exit 0; }; \
	promtool check rules server/deploy/alerts.yml && promtool test rules server/deploy/alerts_test.yml

cover: ## statement coverage of the whole suite; fails under COVERMIN
	@bash .ci/cover '$(COVERMIN)' $(COVERED)

clean: ## remove what the targets above leave
	rm -rf bin cover
	$(GO) clean -testcache
