# Weir: how to build, test and measure it. `make help` lists what there is.

GO       ?= go
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

# Rounds of the crash tests: few here, many in `make soak`.
ROUNDS        ?= 20
CLUSTER_ROUNDS ?= 1
NEMESIS_ROUNDS ?= 30
SOAK_ROUNDS   ?= 1000
# Seconds that each cell of `make bench` runs.
BENCH_SECONDS ?= 10

.DEFAULT_GOAL := help
.PHONY: help build demo model packages lint unit system test test-vm bench wire soak clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

build: ## build the static binary bin/weir
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/weir ./cmd/weir

demo: build ## show the main job: a volume, its writes, a disk that follows, compared byte by byte
	bin/weir demo

packages: ## install the Debian packages that the tests need
	tests/install.sh

lint: ## gofmt, imports, docs, vet, staticcheck
	$(GO) test -count=1 ./tests/lint
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

unit: ## the tests of the rooms, with the race detector
	$(GO) test -race -timeout 25m $$($(GO) list ./... | grep -v -e /tests/system -e /tests/lint)
	$(GO) test -count=1 -timeout 10m -run 'TestConformance$$' ./target/iscsi # too slow under the race detector

system: build ## the tests of the whole: foreign clients, real kernels, crashes, a cluster
	WEIR_BINARY=$(CURDIR)/bin/weir WEIR_REQUIRE_TOOLS=$(shell test "$$(id -u)" = 0 && echo 1) \
	$(GO) test -count=1 -v -timeout 25m ./tests/system -rounds=$(ROUNDS) -cluster-rounds=$(CLUSTER_ROUNDS) \
		-nemesis-rounds=$(NEMESIS_ROUNDS)

test: packages ## install what is missing, then lint and all tests
	$(MAKE) lint
	$(MAKE) unit
	$(MAKE) system

test-vm: build packages ## dm-multipath over two portals, with Debian's full kernel in a guest
	WEIR_BINARY=$(CURDIR)/bin/weir WEIR_REQUIRE_TOOLS=1 $(GO) test -count=1 -v -timeout 25m ./tests/system -run Multipath -vm

bench: build ## measure beside nbdkit and qemu-nbd, and count the bytes on the wire
	WEIR_BINARY=$(CURDIR)/bin/weir $(GO) run ./tests/bench -seconds $(BENCH_SECONDS) -out docs/benchmarks.md \
		cells paused sustained cpu latency nbd-door iscsi-door wire

model: build ## learn the shipped model of packaging from its recipe again, and judge it
	bin/weir train --out classify/engine/model.json

wire: build ## only count the bytes on the wire, step by step
	WEIR_BINARY=$(CURDIR)/bin/weir $(GO) run ./tests/bench wire

soak: build ## the crash and cluster tests with many rounds
	WEIR_BINARY=$(CURDIR)/bin/weir WEIR_REQUIRE_TOOLS=1 $(GO) test -count=1 -v -timeout 12h ./tests/system -run 'Crash|Cluster|Nemesis' \
		-rounds=$(SOAK_ROUNDS) -cluster-rounds=$(SOAK_ROUNDS) -nemesis-rounds=$(SOAK_ROUNDS)

clean: ## remove what was built
	rm -rf bin build
