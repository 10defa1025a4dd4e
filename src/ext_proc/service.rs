//! The gRPC service: starts a stream for each of Envoy's requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use arc_swap::ArcSwap;
use envoy_types::pb::envoy::service::ext_proc::v3::external_processor_server::ExternalProcessor;
use envoy_types::pb::envoy::service::ext_proc::v3::{ProcessingRequest, ProcessingResponse};
use futures_util::stream::{BoxStream, StreamExt};
use tonic::{Status, Streaming};

use super::context::{EnvoyConnection, StreamRecord};
use super::error::{ErrorLog, StreamError};
use super::stream::RequestStream;
use crate::proxy::Snapshot;
use crate::telemetry::{Metrics, Shard};

/// The external processor service.
#[derive(Debug)]
pub(crate) struct Processor {
    snapshot: Arc<ArcSwap<Snapshot>>,
    shards: Vec<Arc<Shard>>,
    next_shard: AtomicUsize,
    log: Arc<ErrorLog>,
}

impl Processor {
    /// Filters by the current config, and counts in these metrics.
    pub(crate) fn new(snapshot: Arc<ArcSwap<Snapshot>>, metrics: &Metrics) -> Self {
        let shards = metrics.shards().collect();
        Self { snapshot, shards, next_shard: AtomicUsize::new(0), log: Arc::new(ErrorLog::new()) }
    }

    fn new_record(&self) -> StreamRecord {
        let number = self.next_shard.fetch_add(1, Relaxed) % self.shards.len().max(1);
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
        let record = self.new_record();
        let Some(connection) = request.extensions().get::<Arc<EnvoyConnection>>().map(Arc::clone)
        else {
            return Err(Status::internal("no connection"));
        };
        if let Err(mode) = connection.responses.check() {
            let error = StreamError::from(mode);
            record.error(&error);
            return Err(error.status());
        }
        let stream = RequestStream::new(request.into_inner(), record, connection);
        Ok(tonic::Response::new(stream.responses().boxed()))
    }
}
