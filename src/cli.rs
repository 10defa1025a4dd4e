//! The command line interface: one module per command.
//!
//! Exit codes: 0 success, 1 runtime error, 2 invalid usage or config.

mod admin_client;
mod args;
mod catalogue;
mod check;
mod classify;
mod completions;
mod consent;
mod cookie;
mod demo;
mod error;
mod explain;
#[cfg(feature = "ext-proc")]
mod ext_proc;
mod health;
mod input_request;
mod inventory;
mod man;
mod receipts;
mod run;
mod schema;
mod suggest;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// Reverse proxy that enforces cookie consent: strips cookies and beacons without consent, in both
/// directions.
#[derive(Debug, Parser)]
#[command(name = "consentry", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::RunArgs),
    Demo(demo::DemoArgs),
    #[cfg(feature = "ext-proc")]
    ExtProc(ext_proc::ExtProcArgs),
    Check(check::CheckArgs),
    Classify(classify::ClassifyArgs),
    Consent(consent::ConsentArgs),
    Cookie(cookie::CookieArgs),
    Explain(explain::ExplainArgs),
    Health(health::HealthArgs),
    Inventory(inventory::InventoryArgs),
    Suggest(suggest::SuggestArgs),
    Receipts(receipts::ReceiptsArgs),
    Catalogue(catalogue::CatalogueArgs),
    Schema(schema::SchemaArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

/// Runs the command given by the process arguments, and prints errors to standard error.
pub fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run(run) => run.execute(),
        Command::Demo(demo) => demo.execute(),
        #[cfg(feature = "ext-proc")]
        Command::ExtProc(ext_proc) => ext_proc.execute(),
        Command::Check(check) => check.execute(),
        Command::Classify(classify) => classify.execute(),
        Command::Consent(consent) => consent.execute(),
        Command::Cookie(cookie) => cookie.execute(),
        Command::Explain(explain) => explain.execute(),
        Command::Health(health) => health.execute(),
        Command::Inventory(inventory) => inventory.execute(),
        Command::Suggest(suggest) => suggest.execute(),
        Command::Receipts(receipts) => receipts.execute(),
        Command::Catalogue(catalogue) => catalogue.execute(),
        Command::Schema(schema) => schema.execute(),
        Command::Man(man) => man.execute(Arguments::command()),
        Command::Completions(completions) => completions.execute(Arguments::command()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let (code, message) = failure.report();
            if let Some(message) = message {
                let _ = writeln!(io::stderr(), "{message}");
            }
            ExitCode::from(code)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
