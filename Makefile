# The commands of this repository. `make test` does all of its own set-up.

.PHONY: test check docs bench fuzz

test: ## Install what is missing, then run everything
	tests/real/install.sh
	cargo test --locked
	cargo test --locked --test real

check: ## Formatting and lints
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings

docs: ## The library's documentation
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps

bench: ## How long the parts take
	cargo bench --locked

fuzz: ## The filter and the consent sources on arbitrary octets, a minute each (needs cargo-fuzz and a nightly toolchain)
	for target in filter sources; do \
		mkdir -p fuzz/corpus/$$target && \
		cargo fuzz run $$target fuzz/corpus/$$target fuzz/seeds/$$target -- -max_total_time=60 || exit 1; \
	done
