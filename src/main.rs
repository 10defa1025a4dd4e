//! The command line: parse, dispatch, exit code. Everything else is in the library.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// It is fast, and gives the memory of a burst back: docs/performance.md.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    consentry::cli::main()
}
