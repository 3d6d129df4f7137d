# Colca: see README.md. Every target does its own set-up on a fresh Debian 12 or 13 with Rust.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:
.PHONY: bench-scale help run test setup lint build unit image appliance clean

BINARY := target/release/colca
IMAGE  := out/colca.raw
say = @printf '\n== %s\n' "$(1)"

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: setup build image ## Boot the box in QEMU beside a lab of peers and let it live a day (FRESH=1: leave it unclaimed)
	$(call say,Booting the box)
	cargo run --release --quiet --example lab -- $(if $(FRESH),--fresh)

test: setup lint build unit image appliance ## Everything that decides whether a change lands
	$(call say,All checks passed)

setup: ## Install what is missing
	$(call say,Setting up)
	@.ci/setup

lint: ## Formatting, clippy, shell scripts
	$(call say,Formatting and lints)
	cargo fmt --check
	cargo clippy --release --all-targets --quiet -- -D warnings
	shellcheck .ci/run .ci/setup $$(grep -rlE '^#!.*\b(ba)?sh' image buildroot 2>/dev/null || true)

build: ## The binary
	$(call say,Building the binary)
	cargo build --release --locked

unit: ## Unit, integration and browser tests
	$(call say,Unit tests and integration tests)
	cargo nextest run --release --locked -E 'not binary(appliance)'

image: build ## The bootable image
	$(call say,Building the image)
	image/build --binary $(BINARY) --output out

appliance: image ## Boot the image in QEMU and put it to work
	$(call say,QEMU boot tests)
	COLCA_IMAGE=$(abspath $(IMAGE)) cargo nextest run --release --locked -E 'binary(appliance)'

bench-scale: ## The chunk index at 1, 10 and 100 million chunks (SIZES="1 10": only these)
	$(call say,The chunk index at scale)
	cargo bench --profile release --locked --bench index_scale -- $(SIZES)

clean: ## Remove what was built
	rm -rf target out
