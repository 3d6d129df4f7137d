# Colca: see README.md. Every target does its own set-up on a fresh Debian 12 or 13 with Rust.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:
.PHONY: help run test setup lint build unit fuzz-slice image appliance torture fuzz bench bench-limits bench-files bench-snapshots bench-pool bench-scale clean

BINARY := target/release/colca
IMAGE  := out/colca.raw
say = @printf '\n== %s\n' "$(1)"

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: setup build image ## Boot the box in QEMU beside a lab of peers and let it live a day (FRESH=1: leave it unclaimed)
	$(call say,Booting the box)
	cargo run --release --quiet --example lab -- $(if $(FRESH),--fresh)

test: setup lint build unit fuzz-slice image appliance ## Everything that decides whether a change lands
	$(call say,All checks passed)

setup: ## Install what is missing
	$(call say,Setting up)
	@.ci/setup

lint: ## Formatting, clippy, shell scripts
	$(call say,Formatting and lints)
	cargo fmt --check
	cargo clippy --release --all-targets --quiet -- -D warnings
	cargo metadata --locked --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null
	shellcheck .ci/run .ci/setup $$(grep -rlE '^#!.*\b(ba)?sh' image buildroot benches fuzz 2>/dev/null || true)

build: ## The binary
	$(call say,Building the binary)
	cargo build --release --locked

unit: ## Unit, integration and browser tests
	$(call say,Unit tests and integration tests)
	cargo nextest run --release --locked -E 'not binary(appliance) and not binary(torture)'

# Seconds for each target of the slice.
FUZZ_SLICE ?= 5

fuzz-slice: ## A short turn of every fuzz target (FUZZ_SLICE seconds each)
	$(call say,Fuzzing every parser for $(FUZZ_SLICE) s)
	fuzz/run $(FUZZ_SLICE) $(FUZZ_TARGETS)

image: build ## The bootable image
	$(call say,Building the image)
	image/build --binary $(BINARY) --output out

appliance: image ## Boot the image in QEMU and put it to work
	$(call say,QEMU boot tests, power cuts and bad disks)
	COLCA_IMAGE=$(abspath $(IMAGE)) cargo nextest run --release --locked -E 'binary(appliance) or binary(torture)'

# How many times as long as in `make test`, and how often the power is cut.
TORTURE ?= 20
CUTS ?= 100

torture: setup ## Every fault in full: disks lost, swapped and returned, bits flipped, power cut (TORTURE=20 rounds, CUTS=100; hours)
	$(call say,Torturing pools)
	COLCA_TORTURE=$(TORTURE) cargo nextest run --profile torture --release --locked --no-capture --test campaign
	COLCA_TORTURE=$(TORTURE) cargo nextest run --profile torture --release --locked --no-capture --lib -E 'test(pool::crash)'
	$(call say,Cutting the power of a machine $(CUTS) times)
	COLCA_CUTS=$(CUTS) cargo nextest run --profile torture --release --locked --no-capture --test torture

# Seconds for each target.
FUZZ_SECONDS ?= 60

fuzz: ## Fuzz every parser of foreign bytes (FUZZ_SECONDS each, FUZZ_TARGETS for some)
	$(call say,Fuzzing)
	fuzz/run $(FUZZ_SECONDS) $(FUZZ_TARGETS)

bench: setup ## Colca beside restic, rustic and Borg (ROWS="kernel random" ROUNDS=3 ENGINES=colca,restic DIR=FOLDER AGAINST=FILE.csv)
	$(call say,Measuring Colca and its peers)
	cargo bench --profile release --locked --quiet --bench peers -- $(ROWS) --rounds $(or $(ROUNDS),3) \
	  $(if $(ENGINES),--engines $(ENGINES)) $(if $(DIR),--dir $(DIR)) $(if $(AGAINST),--against $(AGAINST))

bench-limits: setup ## What this machine could reach, and Colca's share of it (ROWS="kernel random tiny" ROUNDS=3 DIR=FOLDER)
	$(call say,Measuring the machine and Colca on it)
	cargo bench --profile release --locked --quiet --bench limits -- $(ROWS) --rounds $(or $(ROUNDS),3) $(if $(DIR),--dir $(DIR))

bench-files: setup ## What a great number of files costs (FILES="1_000_000 10_000_000" COLCA_BENCH_DIR=FOLDER)
	$(call say,Measuring great numbers of files)
	cargo bench --profile release --locked --quiet --bench files -- $(FILES)

bench-snapshots: setup ## What a great number of snapshots costs (SNAPSHOTS="100 10_000" COLCA_BENCH_DIR=FOLDER)
	$(call say,Measuring great numbers of snapshots)
	cargo bench --profile release --locked --quiet --bench snapshots -- $(SNAPSHOTS)

bench-pool: setup ## How fast a pool is scrubbed and rebuilt, beside its disks' own speed (DISKS="A B C D" COLCA_BENCH_DIR=FOLDER)
	$(call say,Measuring scrub and rebuild)
	cargo bench --profile release --locked --quiet --bench pool

bench-scale: ## The chunk index at 1, 10 and 100 million chunks (SIZES="1 10": only these)
	$(call say,The chunk index at scale)
	cargo bench --profile release --locked --bench index_scale -- $(SIZES)

clean: ## Remove what was built
	rm -rf target out
