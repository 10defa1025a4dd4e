//! The gRPC service: starts a stream for each of Envoy's requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use arc_swap::ArcSwap;
use envoy_types::pb::envoy::service::ext_proc::v3::external_processor_server::ExternalProcessor;
use envoy_types::pb::envoy::service::ext_proc::v3::{ProcessingRequest, ProcessingResponse};
use futures_util::stream::{BoxStream, StreamExt};
use tonic::{Status, Streaming};

use super::account::{EnvoyConnection, StreamRecord};
use super::error::{ErrorLog, StreamError};
use super::stream::RequestStream;
use crate::proxy::Snapshot;
use crate::telemetry::{Metrics, Shard};

/// The external processor service.
#[derive(Debug)]
pub(crate) struct Processor {
    snapshot: Arc<ArcSwap<Snapshot>>,
    shards: Vec<Arc<Shard>>,
    turn: AtomicUsize,
    log: Arc<ErrorLog>,
}

impl Processor {
    /// Filters by the current config, and counts in these metrics.
    pub(crate) fn new(snapshot: Arc<ArcSwap<Snapshot>>, metrics: &Metrics) -> Self {
        let shards = metrics.shards().collect();
        Self { snapshot, shards, turn: AtomicUsize::new(0), log: Arc::new(ErrorLog::new()) }
    }

    fn account(&self) -> StreamRecord {
        let number = self.turn.fetch_add(1, Relaxed) % self.shards.len().max(1);
        let shard = self.shards.get(number).map(Arc::clone);
        StreamRecord::new(self.snapshot.load_full(), number, shard, Arc::clone(&self.log))
    }
}

#[tonic::async_trait]
impl ExternalProcessor for Processor {
    type ProcessStream = BoxStream<'static, Result<ProcessingResponse, Status>>;

    async fn process(
        &self,
        request: tonic::Request<Streaming<ProcessingRequest>>,
    ) -> Result<tonic::Response<Self::ProcessStream>, Status> {
        let account = self.account();
        let Some(peer) = request.extensions().get::<Arc<EnvoyConnection>>().map(Arc::clone) else {
            return Err(Status::internal("no connection"));
        };
        if let Err(mode) = peer.responses.check() {
            let error = StreamError::from(mode);
            account.error(&error);
            return Err(error.status());
        }
        let stream = RequestStream::new(request.into_inner(), account, peer);
        Ok(tonic::Response::new(stream.answers().boxed()))
    }
}
