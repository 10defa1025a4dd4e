//! Config reload, on SIGHUP and when a config file changes.
//!
//! A reload is all or nothing. After an error the previous config stays active, and the failure is counted, logged,
//! and reported by `/readyz`. A file counts as changed when its metadata differs from the metadata before it was
//! read.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use arc_swap::ArcSwap;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::snapshot::{ProcessState, gauges, labels, restart_only};
use crate::admin::{Admin, AdminAccess};
use crate::config::{self, Config, ConfigError, Overrides, WatchedFile};
use crate::proxy::Snapshot;

/// Interval between checks of the files.
const EVERY: Duration = Duration::from_secs(2);

/// The source of a config.
#[derive(Debug)]
pub(super) struct ConfigSource {
    pub(super) path: PathBuf,
    pub(super) overrides: Overrides,
    pub(super) adapt: fn(Config) -> Config,
}

/// Watches the config files and reloads the config.
pub(super) struct Reloader {
    core: Arc<Core>,
    files: Vec<WatchedFile>,
    hangup: Signal,
}

/// State of a reload, shared with the thread that runs it.
struct Core {
    source: ConfigSource,
    process_state: ProcessState,
    snapshot: Arc<ArcSwap<Snapshot>>,
    admin: Arc<Admin>,
}

impl Reloader {
    /// Watches the files of the current config.
    pub(super) fn new(
        source: ConfigSource,
        process_state: ProcessState,
        (snapshot, admin): (Arc<ArcSwap<Snapshot>>, Arc<Admin>),
        files: Vec<WatchedFile>,
    ) -> anyhow::Result<Self> {
        let hangup = signal(SignalKind::hangup()).context("cannot watch signals")?;
        let core = Arc::new(Core { source, process_state, snapshot, admin });
        Ok(Self { core, files, hangup })
    }

    /// Reloads forever.
    pub(super) async fn run(mut self) {
        let mut interval = tokio::time::interval(EVERY);
        loop {
            let requested = tokio::select! {
                _ = self.hangup.recv() => true,
                _ = interval.tick() => false,
            };
            if !requested && !self.files.iter().any(WatchedFile::has_changed) {
                continue;
            }
            let core = Arc::clone(&self.core);
            // Parsing thousands of rules takes time. A blocking thread does it, so that new connections are not
            // delayed.
            let reloaded = tokio::task::spawn_blocking(move || core.reload()).await;
            match reloaded {
                Ok(files) => self.files = files,
                Err(error) => {
                    // The same files are tried again only after another change.
                    self.files.iter_mut().for_each(WatchedFile::update);
                    self.core.process_state.metrics.reloads().count(false);
                    tracing::error!(%error, "reload failed because of an internal error, keeping previous config");
                }
            }
        }
    }
}

impl Core {
    /// Reads the config and activates it, or logs its errors. Returns the files to watch.
    fn reload(&self) -> Vec<WatchedFile> {
        let started = Instant::now();
        let reloads = self.process_state.metrics.reloads();
        let config = match config::load(&self.source.path, &self.source.overrides) {
            Ok(config) => (self.source.adapt)(config),
            Err(error) => {
                reloads.count(false);
                log_errors(&error);
                return error.files;
            }
        };
        let files = config.files.clone();
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        if restart_only(&config) != self.process_state.restart_only {
            tracing::warn!(
                "changes to listen addresses, workers, log, receipts and tls.acme require a restart"
            );
        }
        let access = AdminAccess::of(&config.listen);
        let previous = self.snapshot.load_full();
        let counters = self.process_state.metrics.next_generation(labels(&config));
        match self.process_state.snapshot(config, counters, Some(&previous)) {
            Ok((snapshot, filters)) => {
                self.process_state.metrics.activate(Arc::clone(&snapshot.counters));
                self.process_state.metrics.show_upstreams(gauges(&snapshot));
                self.snapshot.store(Arc::new(snapshot));
                self.admin.set_sites(filters);
                self.admin.set_access(access);
                reloads.count(true);
                let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
                tracing::info!(milliseconds, "config reloaded");
            }
            Err(error) => {
                reloads.count(false);
                tracing::error!("reload failed, keeping previous config: {error:#}");
            }
        }
        files
    }
}

/// Logs every error, one per line.
fn log_errors(error: &ConfigError) {
    for problem in &error.problems {
        tracing::error!("reload failed, keeping previous config: {problem}");
    }
}
