//! The command line: one file per command.
//!
//! Exit codes: 0 fine, 1 failed at run time, 2 bad usage or config.

mod check;
mod classify;
mod completions;
mod consent;
mod cookie;
mod demo;
mod run;

use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use thiserror::Error;

use crate::config::{self, Config, ConfigError, Overrides};

/// A reverse proxy that enforces cookie consent: it strips the cookies and beacons that the
/// visitor did not allow, in both directions.
#[derive(Debug, Parser)]
#[command(name = "consentry", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Run),
    Demo(demo::Demo),
    Check(check::Check),
    Classify(classify::Classify),
    Consent(consent::Consent),
    Cookie(cookie::Cookie),
    Completions(completions::Completions),
}

/// Why a command ends with a code other than 0.
#[derive(Debug, Error)]
enum Failure {
    /// Exit code 2.
    #[error("{0}")]
    Usage(String),
    /// Exit code 2.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Exit code 1.
    #[error(transparent)]
    Run(#[from] anyhow::Error),
    /// Whoever reads the output has heard enough.
    #[error("the output is closed")]
    OutputClosed,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::Run(error.into()),
        }
    }
}

/// Runs the command of the process's arguments, and says on standard error what is wrong.
pub fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run(run) => run.execute(),
        Command::Demo(demo) => demo.execute(),
        Command::Check(check) => check.execute(),
        Command::Classify(classify) => classify.execute(),
        Command::Consent(consent) => consent.execute(),
        Command::Cookie(cookie) => cookie.execute(),
        Command::Completions(completions) => completions.execute(),
    };
    match done {
        Ok(()) | Err(Failure::OutputClosed) => ExitCode::SUCCESS,
        Err(failure) => {
            // With its causes, in one sentence.
            let (code, text) = match failure {
                Failure::Run(error) => (1, format!("error: {error:#}")),
                Failure::Config(error) => (2, error.to_string()),
                usage => (2, format!("error: {usage}")),
            };
            let _ = writeln!(io::stderr(), "{text}");
            ExitCode::from(code)
        }
    }
}

/// Reads the config file, or an empty one.
fn load(path: Option<&Path>, overrides: &Overrides) -> Result<Config, ConfigError> {
    match path {
        Some(path) => config::load(path, overrides),
        None => config::parse("", None, overrides),
    }
}

/// `--config` of the commands that only look something up.
#[derive(Debug, clap::Args)]
struct LookUpConfig {
    /// The config, whose first site's settings count; without it, the built-in catalogue and the defaults
    #[arg(long, value_name = "FILE", env = "CONSENTRY_CONFIG")]
    config: Option<PathBuf>,
}

impl LookUpConfig {
    fn load(&self, sources: Option<Vec<String>>) -> Result<Config, ConfigError> {
        let mut overrides = Overrides { sources, ..Overrides::default() };
        if self.config.is_none() {
            // Nothing is forwarded: any upstream will do.
            overrides.upstream = Some("http://127.0.0.1:1".to_owned());
        }
        load(self.config.as_deref(), &overrides)
    }
}

/// The arguments or, when there are none, the lines of standard input.
fn lines(arguments: Vec<String>) -> Box<dyn Iterator<Item = io::Result<Vec<u8>>>> {
    if !arguments.is_empty() {
        return Box::new(arguments.into_iter().map(|argument| Ok(argument.into_bytes())));
    }
    Box::new(io::stdin().lock().split(b'\n').map(|line| {
        line.map(|mut line| {
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            line
        })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Arguments as clap::CommandFactory>::command().debug_assert();
    }
}
