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

fuzz: ## The filter on arbitrary octets, for a minute (needs `cargo install cargo-fuzz` and a nightly toolchain)
	mkdir -p fuzz/corpus/filter
	cargo fuzz run filter fuzz/corpus/filter fuzz/seeds/filter -- -max_total_time=60
