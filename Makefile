# Build and test commands. Only `make test` and `make real` need root.

.PHONY: test root installed peers tools unit real apps applications check docs bench instructions compare pingora fuzz fuzzers static sbom supply pgo image deb screenshots

STAGE = @printf '\n-- %s %s\n' "$$(date +%T)"
# The first stage installs and builds what the later stages need, so they leave it out (-o).
test: root ## Run every stage in order: install, unit, real, apps, instructions, fuzz (needs root)
	$(STAGE) '1 of 4: install missing programs, build the package and the fuzz targets'
	$(MAKE) -j2 installed deb fuzzers
	$(STAGE) '2 of 4: unit'
	$(MAKE) unit
	$(STAGE) '3 of 4: real'
	$(MAKE) -o peers -o deb real
	$(STAGE) '4 of 4: apps, instructions, fuzz'
	$(MAKE) -j2 -o static -o applications -o tools -o fuzzers apps instructions fuzz FUZZ_SECONDS=20
	$(STAGE) 'all stages passed'

root: ## Fail without root, and list the missing packages
	@tests/root.sh

installed: peers applications ## Install missing test dependencies from Debian, PyPI and npm

peers: ## Install missing dependencies of `make real` (needs root if Debian packages are missing)
	tests/real/install.sh

tools: ## Install missing dependencies from PyPI and npm, such as h11 for `make fuzz`
	tests/real/install.sh --tools

unit: ## Run the tests that need only Rust and a C compiler
	cargo test --locked

real: root peers deb ## Test against real servers, browsers and Envoy, and inject faults (needs root)
	cargo test --locked --test real
	cargo test --locked --test envoy
	cargo test --locked --features otel --test otel

apps: static applications ## Test real applications behind the static binary, in Chromium
	node tests/apps/run.mjs

applications: ## Install missing applications of `make apps` (needs root if Debian packages are missing)
	tests/apps/install.sh

check: ## Check formatting and lints
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --no-default-features --lib --bins -- -D warnings
	cargo clippy --locked --features otel --lib --test otel -- -D warnings

docs: ## Build the library documentation
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps

bench: ## Benchmark the parts of a request
	cargo bench --locked --bench filter

instructions: ## Compare the instruction count of each part with the recorded count (needs valgrind)
	gungraun-runner --version > /dev/null 2>&1 || cargo install --locked gungraun-runner --version 0.20.0
	cargo test --locked --test instructions

compare: static pingora ## Benchmark against nginx, HAProxy, Envoy and Pingora, on this machine
	python3 deploy/bench/bench.py --consentry deploy/container/consentry --markdown target/bench.md --svg target/bench.svg

pingora: ## Build Pingora with the same filter, for `make compare` (needs cmake)
	cargo build --locked --release --manifest-path deploy/bench/peers/pingora/Cargo.toml --target-dir target/pingora

FUZZ_SECONDS = 60
# A fixed seed gives the same inputs each time. 0 selects a random seed.
FUZZ_SEED = 1
fuzz: fuzzers tools ## Fuzz the service, its parsers, the filter and the config for a minute per target, two targets at a time
	cargo fuzz list | xargs -P 2 -I @ sh -c 'mkdir -p fuzz/corpus/@ && \
		if cargo fuzz run --sanitizer none @ fuzz/corpus/@ fuzz/seeds/@ -- -max_total_time=$(FUZZ_SECONDS) -seed=$(FUZZ_SEED) -max_len=4096 -print_final_stats=1 \
			> fuzz/corpus/@.log 2>&1; \
		then echo "@: $$(sed -n "s/stat::number_of_executed_units: *//p" fuzz/corpus/@.log) runs, nothing found"; \
		else echo "@: something was found"; tail -n 50 fuzz/corpus/@.log; exit 1; fi'

fuzzers: ## Build the fuzz targets (installs cargo-fuzz if missing)
	cargo fuzz --version > /dev/null 2>&1 || cargo install --locked cargo-fuzz --version 0.13.2
	cargo fuzz build --sanitizer none

STATIC = x86_64-unknown-linux-gnu
static: ## Build the static binary and copy it to the image's build context
	RUSTFLAGS="-C target-feature=+crt-static" cargo build --locked --release --target $(STATIC)
	cp target/$(STATIC)/release/consentry deploy/container/consentry

# The binary in the pictures. Give another one to skip the build: `make screenshots CONSENTRY=PATH`.
ifndef CONSENTRY
screenshots: CONSENTRY = $(or $(CARGO_TARGET_DIR),target)/debug/consentry
screenshots: BUILD = cargo build --locked
endif
screenshots: ## Take pictures of all pages into target/screenshots, and update those in docs/images (needs Chromium and Node.js; uses pngquant if installed)
	$(BUILD)
	cd tests/real/tools && { npm ls > /dev/null 2>&1 || npm ci --no-progress; }
	CONSENTRY=$(CONSENTRY) node tests/real/tools/screenshots.mjs target/screenshots

sbom: ## Generate the CycloneDX SBOM of the binary: target/consentry.cdx.json (installs cargo-cyclonedx if missing)
	cargo cyclonedx --version > /dev/null 2>&1 || cargo install --locked cargo-cyclonedx --version 0.5.9
	cargo cyclonedx --quiet --format json --spec-version 1.5 --target $(STATIC) --no-build-deps --override-filename consentry.cdx
	mkdir -p target && mv consentry.cdx.json target

supply: ## Check licences, bans, sources and advisories of the dependencies; advisories come from the network (installs cargo-deny if missing)
	cargo deny --version > /dev/null 2>&1 || cargo install --locked cargo-deny --version 0.20.2
	cargo deny check licenses bans sources
	cargo deny check advisories

PROFILE = target/pgo
LLVM_PROFDATA = llvm-profdata-22
pgo: ## Build the profile-guided static binary: target/pgo/consentry (needs llvm-profdata, and the dependencies of deploy/bench)
	rm -rf $(PROFILE)
	RUSTFLAGS="-Cprofile-generate=$(CURDIR)/$(PROFILE)/raw" cargo build --locked --release --target $(STATIC) --target-dir $(PROFILE)/build
	python3 deploy/bench/bench.py --consentry $(PROFILE)/build/$(STATIC)/release/consentry --proxies consentry \
		--cases h1,h1-64k,beacon,h2,h2-64k --rounds 1 --seconds 5 --svg $(PROFILE)/bench.svg
	$(LLVM_PROFDATA) merge -o $(PROFILE)/merged.profdata $(PROFILE)/raw
	RUSTFLAGS="-C target-feature=+crt-static -Cprofile-use=$(CURDIR)/$(PROFILE)/merged.profdata" \
		cargo build --locked --release --target $(STATIC) --target-dir $(PROFILE)/build
	cp $(PROFILE)/build/$(STATIC)/release/consentry $(PROFILE)/consentry

image: static ## Build the container image with one static binary (needs buildah); the OCI format has no HEALTHCHECK
	buildah --storage-driver=vfs bud --format=docker --isolation=chroot -t consentry deploy/container

PACKAGE = target/deb
deb: static ## Build the Debian package with manual pages and shell completions (needs cargo-deb)
	cargo deb --version > /dev/null 2>&1 || cargo install --locked cargo-deb --version 3.8.0
	mkdir -p $(PACKAGE)/man
	deploy/container/consentry man $(PACKAGE)/man
	deploy/container/consentry completions bash > $(PACKAGE)/consentry.bash
	deploy/container/consentry completions zsh > $(PACKAGE)/_consentry
	deploy/container/consentry completions fish > $(PACKAGE)/consentry.fish
	deploy/container/consentry schema > $(PACKAGE)/consentry.schema.json
	cargo deb --locked --no-build --no-strip --target $(STATIC) --output target/consentry.deb
