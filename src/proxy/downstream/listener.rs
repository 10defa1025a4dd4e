//! The listening socket: accepts connections and hands them to the workers.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use futures_util::FutureExt;
use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, TcpKeepalive, Type};
use thiserror::Error;

use crate::proxy::downstream::worker_pool::Workers;

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 4096;
/// How long to wait before the next try when cannot accept connections.
const BACK_OFF: Duration = Duration::from_millis(50);
/// How long to wait for a connection to close when there are as many as may be.
const FULL: Duration = Duration::from_millis(5);
/// How long those who have begun to connect are given to finish, before a socket that others share is closed.
const HALF_OPEN: Duration = Duration::from_millis(100);
/// When to ask a silent peer whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Why an address cannot be listened on.
#[derive(Debug, Error)]
pub enum BindError {
    /// Another program listens there.
    #[error("{0} is already in use by another program")]
    InUse(SocketAddr),
    /// Ports below 1024 are for privileged users.
    #[error("cannot bind {0}: ports below 1024 need CAP_NET_BIND_SERVICE")]
    Denied(SocketAddr),
    /// The machine has no such address.
    #[error("{0} is not an address of this machine")]
    NotHere(SocketAddr),
    /// Anything else.
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

/// A bound socket that takes connections once it runs.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    /// Others may listen there too.
    shared: bool,
}

impl Listener {
    /// Binds an address; port 0 takes a free one.
    /// With `reuse_port` other processes may listen on the same address, and get a share of the connections
    /// (socket(7), SO_REUSEPORT).
    ///
    /// # Errors
    /// When the address is in use, not of this machine, or not allowed.
    pub fn bind(address: SocketAddr, reuse_port: bool) -> Result<Self, BindError> {
        let failed = |error| BindError::new(address, error);
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))
            .map_err(failed)?;
        // A restart must not wait for the connections of the last run to be forgotten.
        socket.set_reuse_address(true).map_err(failed)?;
        socket.set_reuse_port(reuse_port).map_err(failed)?;
        socket.bind(&address.into()).map_err(failed)?;
        socket.listen(BACKLOG).map_err(failed)?;
        let bound = Self::inherit(socket.into()).map_err(failed)?;
        Ok(Self { shared: reuse_port, ..bound })
    }

    /// A socket that another program has bound, such as systemd (sd_listen_fds(3)).
    ///
    /// # Errors
    /// When it is none that connections come from.
    pub fn inherit(socket: TcpListener) -> io::Result<Self> {
        let settings = SockRef::from(&socket);
        // Accepted sockets inherit these.
        settings.set_tcp_nodelay(true)?;
        settings.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
        settings.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address, shared: false })
    }

    /// The address it is bound to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The bound socket, for a server that is not a proxy.
    pub fn into_socket(self) -> TcpListener {
        self.socket
    }

    /// Accepts connections until `stop` ends, and those that stand in the queue by then. `secure` says that
    /// visitors speak TLS here.
    ///
    /// # Errors
    /// When the socket cannot be watched.
    pub async fn run(
        self,
        workers: &Workers,
        secure: bool,
        stop: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let socket = tokio::net::TcpListener::from_std(self.socket)?;
        tokio::select! {
            () = Self::accept(&socket, workers, secure) => {}
            () = stop => {}
        }
        if self.shared {
            hold_new_ones_back(&socket).await;
        }
        // They have connected already: closing the socket would cut them off.
        while let Some(Ok((stream, address))) = socket.accept().now_or_never() {
            if let Ok(stream) = stream.into_std() {
                workers.hand_over(stream, address, secure);
            }
        }
        Ok(())
    }

    /// Accepts connections for ever.
    async fn accept(socket: &tokio::net::TcpListener, workers: &Workers, secure: bool) {
        loop {
            while workers.are_full() {
                tokio::time::sleep(FULL).await;
            }
            // The socket leaves this thread's runtime for that of its worker.
            let accepted = socket.accept().await;
            match accepted.and_then(|(stream, address)| Ok((stream.into_std()?, address))) {
                Ok((stream, address)) => workers.hand_over(stream, address, secure),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    // No more file descriptors, most likely: some will be closed.
                    tracing::error!(%error, "cannot accept connections");
                    tokio::time::sleep(BACK_OFF).await;
                }
            }
        }
    }
}

/// Lets nobody begin to connect, and those who have begun finish: closing a socket resets connections that are
/// half open. Who is held back tries again a second later, and finds the next version.
async fn hold_new_ones_back(socket: &tokio::net::TcpListener) {
    // Of each segment for the socket: the flags (RFC 9293 section 3.1), of them SYN and ACK; SYN alone is dropped.
    let filter = [
        SockFilter::new(0x30, 0, 0, 13),
        SockFilter::new(0x54, 0, 0, 0x12),
        SockFilter::new(0x15, 0, 1, 0x02),
        SockFilter::new(0x06, 0, 0, 0),
        SockFilter::new(0x06, 0, 0, u32::MAX),
    ];
    match SockRef::from(socket).attach_filter(&filter) {
        Ok(()) => tokio::time::sleep(HALF_OPEN).await,
        Err(error) => tracing::debug!(%error, "who connects just now may be reset"),
    }
}

/// Whether the error concerns only the connection that was to be accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
