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
	check-deps check-advisories docs docs-check fmt lint bench bench-model watch invoke package validate-sam

help:
	@awk -F ':.*## ' '/^## / { printf "\n%s\n", substr($$0, 4) } /^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

## Try it

demo: ## start the local stack, send it a sample report, show what to fix first and one analysis
	@$(STACK) demo $(FLAGS)

up: ## start the local stack, or update it; its URL is in .local/api-url
	@$(STACK) up $(FLAGS)

down: ## stop the local stack
	@$(STACK) down

logs: ## show the logs of the functions of the local stack
	@$(STACK) logs

reingest: ## ingest the archived reports of the local stack again, after a change of the parser
	@$(STACK) reingest

## Check it

test: check-code check-template docs-check check-local check-bridge ## run all checks and tests, on a stack of their own
	@$(STACK) run -- cargo test $(LOCAL) --workspace

check: check-code check-template docs-check check-deps ## run what must pass before a commit; starts no stack
	cargo test $(LOCAL) --package sirius

check-code:
	cargo fmt --all --check
	cargo clippy $(LOCAL) --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc $(LOCAL) --workspace --no-deps --document-private-items

check-template: ## lint template.yaml, as written and as SAM translates it
	@$(STACK) check-template

check-local: ## test the local stack (local/sirius_local)
	@$(STACK) install stack
	@$(STACK) install lint
	cd local && ../.tools/stack-venv/bin/python -m unittest discover --start-directory sirius_local --top-level-directory .

check-bridge: ## test the model bridge (local/ollama_bridge), about a minute
	@$(STACK) install llm
	cd local && ../.tools/llm-venv/bin/python -m unittest discover --start-directory ollama_bridge --top-level-directory .

docs: ## generate docs/PARAMETERS.md from template.yaml
	@$(STACK) docs

docs-check: ## check links, commands, numbers and generated parts of the documents
	@$(STACK) install stack
	cd local && ../.tools/stack-venv/bin/python -m unittest sirius_local.test_documents sirius_local.test_numbers

check-deps: .tools/bin/cargo-deny-$(CARGO_DENY_VERSION) ## check licences, bans and sources of the dependencies
	$< --all-features check --hide-inclusion-graph bans licenses sources

# Not part of `make test` and `make check`: the database (github.com/rustsec/advisory-db) changes every day, so the answer
# does not belong to a commit. Run it on a schedule.
check-advisories: .tools/bin/cargo-deny-$(CARGO_DENY_VERSION) ## check the dependencies for known vulnerabilities; needs github.com
	$< --all-features check --hide-inclusion-graph advisories

validate-sam: ## lint template.yaml with the SAM CLI itself (340 MB)
	@$(STACK) install sam
	AWS_DEFAULT_REGION=us-east-1 SAM_CLI_TELEMETRY=0 .tools/sam-venv/bin/sam validate --lint --template template.yaml

# The cold starts are those of the binaries that ship.
bench: package ## run the benchmarks, on a stack of their own; builds the release packages first
	cargo build --release --package hello-bare --package hello-world
	@$(STACK) run --no-model -- cargo bench --package sirius-bench

bench-model: ## measure how often the model (bundled, or of OLLAMA_URL) answers in a usable form; minutes
	@$(STACK) run -- cargo bench --package sirius-bench -- model

## Work on it

fmt: ## format the code
	cargo fmt --all

lint: check-template ## run clippy and cfn-lint
	cargo clippy $(LOCAL) --workspace --all-targets -- -D warnings

watch: up ## serve the functions on http://127.0.0.1:9000 and rebuild them as you edit
	@$(STACK) install lambda
	. .local/env && . .local/functions.env && $(CARGO_LAMBDA) watch --invoke-address 127.0.0.1 $(LOCAL)

invoke: ## send an event to `make watch`: make invoke F=get-scan CASE=newest-of-image-200
	@$(STACK) install lambda
	$(CARGO_LAMBDA) invoke $(F) --invoke-address 127.0.0.1 --data-file events/$(F)/$(CASE).json

## Ship it

package: ## build release zips for Lambda into target/package and print their sizes; ARCH=arm64 cross-compiles
	@$(STACK) package $(if $(ARCH),--architecture $(ARCH)) $(F)

# cargo names no version in what it installs; the version in the file's name makes it a new target.
.tools/bin/cargo-deny-$(CARGO_DENY_VERSION):
	cargo install --locked --root .tools --version $(CARGO_DENY_VERSION) cargo-deny
	mv .tools/bin/cargo-deny $@
