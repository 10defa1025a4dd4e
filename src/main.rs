//! The consentry binary. The library contains everything else, including the command line.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// jemalloc is fast, and returns the memory of a burst to the system: docs/performance.md.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    consentry::internal::main()
}
