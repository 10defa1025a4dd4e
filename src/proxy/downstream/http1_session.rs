//! What the requests of one HTTP/1.1 client connection share.

use std::sync::{Arc, Mutex, PoisonError};

use crate::proxy::downstream::http1_client::Http1Client;
use crate::proxy::upstream::pool::{Lease, PrivateConnections};

/// What the requests of one HTTP/1.1 client connection share.
#[derive(Debug)]
pub(crate) struct Http1Session {
    pub(crate) client: Arc<Http1Client>,
    /// The upstream connections that belong to it.
    pub(crate) private: Arc<PrivateConnections>,
    upgraded: Mutex<Option<Lease>>,
}

impl Http1Session {
    pub(crate) fn new(client: Arc<Http1Client>) -> Arc<Self> {
        Arc::new(Self { client, private: Arc::default(), upgraded: Mutex::default() })
    }

    /// Notes the upstream connection that a 101 joins to the client's.
    pub(crate) fn upgrades_to(&self, upstream: Lease) {
        *self.upgraded.lock().unwrap_or_else(PoisonError::into_inner) = Some(upstream);
    }

    /// The upstream connection that a 101 joins to the client's.
    pub(crate) fn take_upgraded(&self) -> Option<Lease> {
        self.upgraded.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
