//! Listening socket: accepts connections and hands them to the workers.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use futures_util::FutureExt;
use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, TcpKeepalive, Type};
use thiserror::Error;

use crate::proxy::downstream::worker_pool::WorkerPool;

/// Maximum pending connections in the accept queue.
const BACKLOG: i32 = 4096;
/// Delay before the next attempt after a failed accept.
const BACK_OFF: Duration = Duration::from_millis(50);
/// Delay before the next check while the connection limit is reached.
const FULL: Duration = Duration::from_millis(5);
/// Time for half-open connections to complete before a shared socket is closed.
const HALF_OPEN: Duration = Duration::from_millis(100);
/// TCP keepalive time for client connections.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Why an address cannot be bound.
#[derive(Debug, Error)]
pub(crate) enum BindError {
    /// Another program listens there.
    #[error("{0} is already in use by another program")]
    InUse(SocketAddr),
    /// Ports below 1024 are for privileged users.
    #[error("cannot bind {0}: ports below 1024 need CAP_NET_BIND_SERVICE")]
    Denied(SocketAddr),
    /// The address does not belong to this machine.
    #[error("{0} is not an address of this machine")]
    NotHere(SocketAddr),
    /// Any other error.
    #[error("cannot bind {0}")]
    Other(SocketAddr, #[source] io::Error),
}

impl BindError {
    fn new(address: SocketAddr, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::InUse(address),
            io::ErrorKind::PermissionDenied => Self::Denied(address),
            io::ErrorKind::AddrNotAvailable => Self::NotHere(address),
            _ => Self::Other(address, error),
        }
    }
}

/// A bound socket. It accepts connections once it runs.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    /// Other processes may bind the same address.
    shared: bool,
}

impl Listener {
    /// Binds an address; port 0 selects a free port.
    /// With `reuse_port` other processes may bind the same address and share its connections
    /// (socket(7), SO_REUSEPORT).
    ///
    /// # Errors
    /// If the address is in use, does not belong to this machine, or is not permitted.
    pub(crate) fn bind(address: SocketAddr, reuse_port: bool) -> Result<Self, BindError> {
        let failed = |error| BindError::new(address, error);
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))
            .map_err(failed)?;
        // A restart must not fail because of old connections in TIME_WAIT.
        socket.set_reuse_address(true).map_err(failed)?;
        socket.set_reuse_port(reuse_port).map_err(failed)?;
        socket.bind(&address.into()).map_err(failed)?;
        socket.listen(BACKLOG).map_err(failed)?;
        let bound = Self::inherit(socket.into()).map_err(failed)?;
        Ok(Self { shared: reuse_port, ..bound })
    }

    /// Wraps a socket that another program has bound, such as systemd (sd_listen_fds(3)).
    ///
    /// # Errors
    /// If the socket cannot accept connections.
    pub(crate) fn inherit(socket: TcpListener) -> io::Result<Self> {
        let settings = SockRef::from(&socket);
        // Accepted sockets inherit these options.
        settings.set_tcp_nodelay(true)?;
        settings.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
        settings.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address, shared: false })
    }

    /// The bound address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the bound socket, for a server that is not a proxy.
    pub(crate) fn into_socket(self) -> TcpListener {
        self.socket
    }

    /// Accepts connections until `stop` completes, then drains the accept queue. `secure` is true
    /// for a TLS listener.
    ///
    /// # Errors
    /// If the socket cannot be registered with the runtime.
    pub(crate) async fn run(
        self,
        workers: &WorkerPool,
        secure: bool,
        stop: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let socket = tokio::net::TcpListener::from_std(self.socket)?;
        tokio::select! {
            () = Self::accept(&socket, workers, secure) => {}
            () = stop => {}
        }
        if self.shared {
            drop_new_syns(&socket).await;
        }
        // Queued connections are already established. Closing the socket would reset them.
        while let Some(Ok((stream, address))) = socket.accept().now_or_never() {
            if let Ok(stream) = stream.into_std() {
                workers.dispatch(stream, address, secure);
            }
        }
        Ok(())
    }

    /// Accepts connections forever.
    async fn accept(socket: &tokio::net::TcpListener, workers: &WorkerPool, secure: bool) {
        loop {
            while workers.is_full() {
                tokio::time::sleep(FULL).await;
            }
            // The socket moves from this thread's runtime to the worker's.
            let accepted = socket.accept().await;
            match accepted.and_then(|(stream, address)| Ok((stream.into_std()?, address))) {
                Ok((stream, address)) => workers.dispatch(stream, address, secure),
                Err(error) if is_per_connection(&error) => {}
                Err(error) => {
                    // Most likely out of file descriptors: some will be closed soon.
                    tracing::error!(%error, "cannot accept connections");
                    tokio::time::sleep(BACK_OFF).await;
                }
            }
        }
    }
}

/// Drops new SYNs and waits for half-open connections to complete.
///
/// Closing a socket resets half-open connections. A client whose SYN was dropped retries after a
/// second and reaches the next process.
async fn drop_new_syns(socket: &tokio::net::TcpListener) {
    // BPF program: load the TCP flags (RFC 9293 section 3.1), mask SYN and ACK, and drop segments
    // with SYN alone.
    let filter = [
        SockFilter::new(0x30, 0, 0, 13),
        SockFilter::new(0x54, 0, 0, 0x12),
        SockFilter::new(0x15, 0, 1, 0x02),
        SockFilter::new(0x06, 0, 0, 0),
        SockFilter::new(0x06, 0, 0, u32::MAX),
    ];
    match SockRef::from(socket).attach_filter(&filter) {
        Ok(()) => tokio::time::sleep(HALF_OPEN).await,
        Err(error) => {
            tracing::debug!(%error, "cannot attach the SYN filter: new connections may be reset")
        }
    }
}

/// Whether the error affects only the connection that was being accepted.
fn is_per_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
