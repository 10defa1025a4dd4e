//! State shared by the requests of one HTTP/1.1 client connection.

use std::sync::{Arc, Mutex, PoisonError};

use crate::proxy::downstream::http1_client::Http1Client;
use crate::proxy::upstream::pool::{PooledConnection, PrivateConnections};

/// State shared by the requests of one HTTP/1.1 client connection.
#[derive(Debug)]
pub(crate) struct Http1Session {
    pub(crate) client: Arc<Http1Client>,
    /// Upstream connections reserved for the client connection.
    pub(crate) private: Arc<PrivateConnections>,
    upgraded: Mutex<Option<PooledConnection>>,
}

impl Http1Session {
    pub(crate) fn new(client: Arc<Http1Client>) -> Arc<Self> {
        Arc::new(Self { client, private: Arc::default(), upgraded: Mutex::default() })
    }

    /// Sets the upstream connection that a 101 response joins to the client connection.
    pub(crate) fn set_upgraded(&self, upstream: PooledConnection) {
        *self.upgraded.lock().unwrap_or_else(PoisonError::into_inner) = Some(upstream);
    }

    /// Takes the upstream connection that a 101 response joins to the client connection.
    pub(crate) fn take_upgraded(&self) -> Option<PooledConnection> {
        self.upgraded.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
