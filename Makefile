# `make` lists the targets. Everything runs on a fresh clone with Rust, Python 3, make and a C compiler:
# other tools are installed into .tools/ by the target that needs them. CI runs these same targets.

PYTHON ?= python3
STACK := $(PYTHON) local/stack.py
# One profile for all local work, so that the tests, the lints and the local stack share their builds.
LOCAL := --profile local
# cargo-lambda is a large download: only the targets that need it install it.
CARGO_LAMBDA := PATH="$(CURDIR)/.tools/lambda-venv/bin:$$PATH" cargo lambda
CARGO_DENY_VERSION := 0.20.2
# Of the release packages: arm64 or x86-64 by cargo-lambda and zig, instead of this machine's by cargo alone.
ARCH ?=
# One function, or several: make package F="get-scan list-scans".
F ?=
# For the local stack: make up FLAGS=--no-model, or FLAGS="--parameter AutoAnalyze=CRITICAL".
FLAGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo up down logs reingest test check check-code check-template check-local check-bridge \
	check-deps check-advisories fmt lint bench \
	bench-model watch invoke package validate-sam

help:
	@awk -F ':.*## ' '/^## / { printf "\n%s\n", substr($$0, 4) } /^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

## Try it

demo: ## start the local stack, send a sample report through it, show its findings and one analysis
	@$(STACK) demo $(FLAGS)

up: ## start the local stack or bring it up to date; its URL is in .local/api-url
	@$(STACK) up $(FLAGS)

down: ## end what `make up` has started
	@$(STACK) down

logs: ## show what the functions of the local stack have logged
	@$(STACK) logs

reingest: ## ingest the archived reports of the local stack anew: after a change of the parser
	@$(STACK) reingest

## Check it

test: check-code check-template check-local check-bridge ## everything: lints, unit tests, integration tests on a stack of their own
	@$(STACK) run -- cargo test $(LOCAL) --workspace

check: check-code check-template check-deps ## what should be green before a commit; starts no stack
	cargo test $(LOCAL) --package sirius

check-code:
	cargo fmt --all --check
	cargo clippy $(LOCAL) --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc $(LOCAL) --workspace --no-deps --document-private-items

check-template: ## lint template.yaml, as it is and as SAM translates it
	@$(STACK) check-template

check-local: ## the tests of the local stack (local/sirius_local)
	@$(STACK) install stack
	@$(STACK) install lint
	cd local && ../.tools/stack-venv/bin/python -m unittest discover --start-directory sirius_local --top-level-directory .

check-bridge: ## the tests of the model bridge (local/ollama_bridge), about a minute
	@$(STACK) install llm
	cd local && ../.tools/llm-venv/bin/python -m unittest discover --start-directory ollama_bridge --top-level-directory .

check-deps: .tools/bin/cargo-deny-$(CARGO_DENY_VERSION) ## licences, bans and sources of the dependencies
	$< --all-features check --hide-inclusion-graph bans licenses sources

# Outside `make test` and `make check`: the database is cloned from github.com/rustsec/advisory-db and changes every
# day, so the answer is not the commit's. To be run by a schedule, each day.
check-advisories: .tools/bin/cargo-deny-$(CARGO_DENY_VERSION) ## known vulnerabilities in the dependencies; needs github.com
	$< --all-features check --hide-inclusion-graph advisories

validate-sam: ## what check-template checks, by the SAM CLI itself (340 MB)
	@$(STACK) install sam
	AWS_DEFAULT_REGION=us-east-1 SAM_CLI_TELEMETRY=0 .tools/sam-venv/bin/sam validate --lint --template template.yaml

# The cold starts are those of the binaries that ship.
bench: package ## the benchmarks, on a stack of their own; builds the release packages first, which takes long once
	cargo build --release --package hello-bare --package hello-world
	@$(STACK) run --no-model -- cargo bench --package sirius-bench

bench-model: ## how often the bundled model (or that of OLLAMA_URL) answers in a form that can be used; minutes
	@$(STACK) run -- cargo bench --package sirius-bench -- model

## Work on it

fmt: ## format the code
	cargo fmt --all

lint: check-template ## clippy and cfn-lint
	cargo clippy $(LOCAL) --workspace --all-targets -- -D warnings

watch: up ## serve the functions on http://127.0.0.1:9000, rebuilt as you edit, on the local stack's table
	@$(STACK) install lambda
	. .local/env && . .local/functions.env && $(CARGO_LAMBDA) watch --invoke-address 127.0.0.1 $(LOCAL)

invoke: ## send an event to `make watch`: make invoke F=get-scan CASE=newest-of-image-200
	@$(STACK) install lambda
	$(CARGO_LAMBDA) invoke $(F) --invoke-address 127.0.0.1 --data-file events/$(F)/$(CASE).json

## Ship it

package: ## release zips for Lambda in target/package, and their sizes; for this machine's architecture, by cargo alone
	@$(STACK) package $(if $(ARCH),--architecture $(ARCH)) $(F)

# cargo names no version in what it installs; the file's name here makes a new version a new target.
.tools/bin/cargo-deny-$(CARGO_DENY_VERSION):
	cargo install --locked --root .tools --version $(CARGO_DENY_VERSION) cargo-deny
	mv .tools/bin/cargo-deny $@
