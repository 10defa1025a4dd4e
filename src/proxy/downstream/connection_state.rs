//! State of a client connection: peer, activity, shutdown command and decision cache.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::filter::DecisionCache;
use crate::http::Peer;
use crate::proxy::downstream::activity::Activity;
use crate::proxy::downstream::worker::Worker;

/// State of a client connection.
#[derive(Debug)]
pub(crate) struct ConnectionState {
    pub(crate) peer: Peer,
    pub(crate) worker: Arc<Worker>,
    /// The cached filter decision of the last request.
    pub(crate) decision_cache: Arc<DecisionCache>,
    pub(crate) activity: Arc<Activity>,
}

impl ConnectionState {
    pub(crate) fn new(worker: Arc<Worker>, address: SocketAddr, secure: bool) -> Self {
        Self {
            peer: Peer::new(address.ip(), secure),
            activity: Arc::new(Activity::new(worker.clock())),
            worker,
            decision_cache: Arc::default(),
        }
    }
}
