//! Per-connection and per-stream context.

use std::net::IpAddr;
use std::sync::Arc;

use super::error::{ErrorLog, StreamError};
use super::mode::ResponseWatch;
use crate::proxy::{Site, Snapshot};
use crate::telemetry::{ErrorKind, Shard};

/// A connection from Envoy.
#[derive(Debug)]
pub(super) struct EnvoyConnection {
    /// `None` on a Unix socket.
    pub(super) address: Option<IpAddr>,
    pub(super) responses: ResponseWatch,
}

/// The config and the counters of a stream.
pub(super) struct StreamRecord {
    pub(super) snapshot: Arc<Snapshot>,
    /// The index of the shard.
    pub(super) number: usize,
    shard: Option<Arc<Shard>>,
    log: Arc<ErrorLog>,
}

impl StreamRecord {
    pub(super) fn new(
        snapshot: Arc<Snapshot>,
        number: usize,
        shard: Option<Arc<Shard>>,
        log: Arc<ErrorLog>,
    ) -> Self {
        Self { snapshot, number, shard, log }
    }

    /// Counts and logs an error that ends the stream.
    pub(super) fn error(&self, error: &StreamError) {
        if let Some(shard) = &self.shard {
            shard.error(error.kind());
        }
        self.log.record(error);
    }

    /// Counts a request that matches no site.
    pub(super) fn bad_request(&self) {
        if let Some(shard) = &self.shard {
            shard.error(ErrorKind::BadRequest);
        }
    }

    pub(super) fn site(&self, index: usize) -> Option<&Arc<Site>> {
        self.snapshot.sites.all().get(index)
    }
}
