# The commands of this project. `make` alone lists them. Each is safe to run again.

# Build products stay outside the clone, so that several clones share them.
export CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/sluicegate/target

# The port of `make run`.
PORT ?= 8080
# Seconds that `make fuzz` gives to each target.
SECONDS_EACH ?= 60

BINARY := $(CARGO_TARGET_DIR)/debug/sluicegate

.DEFAULT_GOAL := help
.PHONY: help run build release test lint fmt docs bench fuzz property services-up services-down

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: build ## build and run the example APIs of examples/quickstart (PORT=9000 chooses a port)
	@scripts/quickstart $(BINARY) $(PORT)

build: ## build the binary for development
	@scripts/needs build
	cargo build --locked

release: ## build the optimised binary
	@scripts/needs build
	cargo build --locked --release

test: ## run every check and every test, with real servers; prints one closing line
	@scripts/test

lint: ## run clippy with warnings as errors, and the format check
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

fmt: ## format the code
	cargo fmt --all

docs: ## write the generated parts of docs/
	UPDATE_DOCS=1 cargo test --locked -q -p apidef --test reference
	UPDATE_DOCS=1 cargo test --locked -q -p connectors --test docs
	UPDATE_DOCS=1 cargo test --locked -q -p codecs --test docs
	UPDATE_DOCS=1 cargo test --locked -q -p bloblang -p streams -p gateway -p sluicegate --lib --bins -- reference page

bench: release ## compare with nginx and with itself, side by side, in one run (CASE=proxy chooses one)
	@scripts/needs bench
	@scripts/services up kafka redis
	eval "$$(scripts/services env)" && cargo run --locked --release -p bench -- $(or $(CASE),all)

fuzz: ## give every fuzz target SECONDS_EACH seconds
	@scripts/needs build
	@scripts/fuzz $(SECONDS_EACH)

property: build ## hold the admin API from outside to the OpenAPI document that it serves
	@scripts/property $(BINARY) 50 600

services-up: ## start the real servers that the tests use, on ports of their own
	@scripts/services up

services-down: ## stop them
	@scripts/services down
