# The commands of this repository. `make test` does all of its own set-up.

.PHONY: test installed apps applications check docs bench instructions compare pingora fuzz fuzzers static sbom supply pgo image deb

test: ## Install what is missing, then run everything
	$(MAKE) -j2 installed deb fuzzers
	cargo test --locked
	cargo test --locked --test real
	cargo test --locked --test envoy
	cargo test --locked --features otel --test otel
	$(MAKE) -j2 apps instructions fuzz FUZZ_SECONDS=20

installed: ## Install what the tests need from Debian, PyPI and npm, where it is missing
	tests/real/install.sh
	$(MAKE) applications

apps: static applications ## Real applications behind the static binary, driven in Chromium
	node tests/apps/run.mjs

applications: ## Install the applications of `make apps` where they are missing
	tests/apps/install.sh

check: ## Formatting and lints
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --no-default-features --lib --bins -- -D warnings
	cargo clippy --locked --features otel --lib --test otel -- -D warnings

docs: ## The library's documentation
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps

bench: ## How long the parts take
	cargo bench --locked --bench filter

instructions: ## How many instructions each part takes, against what is recorded (needs valgrind)
	gungraun-runner --version > /dev/null 2>&1 || cargo install --locked gungraun-runner --version 0.20.0
	cargo test --locked --test instructions

compare: static pingora ## Beside nginx, HAProxy, Envoy and Pingora, on this machine
	python3 deploy/bench/bench.py --consentry deploy/container/consentry --markdown target/bench.md --svg target/bench.svg

pingora: ## Pingora with the same filter, a contestant of `make compare` (needs cmake)
	cargo build --release --manifest-path deploy/bench/peers/pingora/Cargo.toml --target-dir target/pingora

FUZZ_SECONDS = 60
# The same octets each time; 0 for others.
FUZZ_SEED = 1
fuzz: fuzzers ## Arbitrary bytes for a minute each: the service, its parsers, the filter, the config; two at a time (needs h11, by `make installed`)
	cargo fuzz list | xargs -P 2 -I @ sh -c 'mkdir -p fuzz/corpus/@ && \
		if cargo fuzz run --sanitizer none @ fuzz/corpus/@ fuzz/seeds/@ -- -max_total_time=$(FUZZ_SECONDS) -seed=$(FUZZ_SEED) -max_len=4096 -print_final_stats=1 \
			> fuzz/corpus/@.log 2>&1; \
		then echo "@: $$(sed -n "s/stat::number_of_executed_units: *//p" fuzz/corpus/@.log) runs, nothing found"; \
		else echo "@: something was found"; tail -n 50 fuzz/corpus/@.log; exit 1; fi'

fuzzers: ## What `make fuzz` runs (installs cargo-fuzz where it is missing)
	cargo fuzz --version > /dev/null 2>&1 || cargo install --locked cargo-fuzz --version 0.13.2
	cargo fuzz build --sanitizer none

STATIC = x86_64-unknown-linux-gnu
static: ## The static binary, where the image takes it from
	RUSTFLAGS="-C target-feature=+crt-static" cargo build --locked --release --target $(STATIC)
	cp target/$(STATIC)/release/consentry deploy/container/consentry

sbom: ## What the binary is made of, by CycloneDX: target/consentry.cdx.json (installs cargo-cyclonedx where it is missing)
	cargo cyclonedx --version > /dev/null 2>&1 || cargo install --locked cargo-cyclonedx --version 0.5.9
	cargo cyclonedx --quiet --format json --spec-version 1.5 --target $(STATIC) --no-build-deps --override-filename consentry.cdx
	mkdir -p target && mv consentry.cdx.json target

supply: ## Licences, bans, sources and advisories of the libraries; the last from the network (installs cargo-deny where it is missing)
	cargo deny --version > /dev/null 2>&1 || cargo install --locked cargo-deny --version 0.20.2
	cargo deny check licenses bans sources
	cargo deny check advisories

PROFILE = target/pgo
LLVM_PROFDATA = llvm-profdata-22
pgo: ## The static binary with a profile of its own load, as target/pgo/consentry (needs llvm-profdata, and what deploy/bench needs)
	rm -rf $(PROFILE)
	RUSTFLAGS="-Cprofile-generate=$(CURDIR)/$(PROFILE)/raw" cargo build --locked --release --target $(STATIC) --target-dir $(PROFILE)/build
	python3 deploy/bench/bench.py --consentry $(PROFILE)/build/$(STATIC)/release/consentry --proxies consentry \
		--cases h1,h1-64k,beacon,h2,h2-64k --rounds 1 --seconds 5 --svg $(PROFILE)/bench.svg
	$(LLVM_PROFDATA) merge -o $(PROFILE)/merged.profdata $(PROFILE)/raw
	RUSTFLAGS="-C target-feature=+crt-static -Cprofile-use=$(CURDIR)/$(PROFILE)/merged.profdata" \
		cargo build --locked --release --target $(STATIC) --target-dir $(PROFILE)/build
	cp $(PROFILE)/build/$(STATIC)/release/consentry $(PROFILE)/consentry

image: static ## The container image, of one static binary (needs buildah); the OCI format has no HEALTHCHECK
	buildah --storage-driver=vfs bud --format=docker --isolation=chroot -t consentry deploy/container

PACKAGE = target/deb
deb: static ## The Debian package, with the manual and the completions (needs cargo-deb)
	cargo deb --version > /dev/null 2>&1 || cargo install --locked cargo-deb --version 3.8.0
	mkdir -p $(PACKAGE)/man
	deploy/container/consentry man $(PACKAGE)/man
	deploy/container/consentry completions bash > $(PACKAGE)/consentry.bash
	deploy/container/consentry completions zsh > $(PACKAGE)/_consentry
	deploy/container/consentry completions fish > $(PACKAGE)/consentry.fish
	deploy/container/consentry schema > $(PACKAGE)/consentry.schema.json
	cargo deb --locked --no-build --no-strip --target $(STATIC) --output target/consentry.deb
