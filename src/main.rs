//! The command line: parse, dispatch, exit code. Everything else is in the library.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A request allocates some forty times: docs/performance.md has what this saves.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    consentry::cli::main()
}
