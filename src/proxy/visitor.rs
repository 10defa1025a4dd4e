//! What is known of a visitor's connection: who it is, what it is doing, what it is told to do.

use std::net::SocketAddr;
use std::sync::Arc;

use super::activity::Activity;
use super::worker::Worker;
use crate::filter::Recall;
use crate::http::Peer;

/// What is known of a visitor's connection.
#[derive(Debug)]
pub(super) struct Visitor {
    pub(super) peer: Peer,
    pub(super) worker: Arc<Worker>,
    /// Its last request.
    pub(super) recall: Arc<Recall>,
    pub(super) activity: Arc<Activity>,
}

impl Visitor {
    pub(super) fn new(worker: Arc<Worker>, address: SocketAddr, secure: bool) -> Self {
        Self {
            peer: Peer::new(address.ip(), secure),
            activity: Arc::new(Activity::new(worker.clock())),
            worker,
            recall: Arc::default(),
        }
    }
}
