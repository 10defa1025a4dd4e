//! Sockets for operators and Envoy: a TCP address or a Unix socket path.

use std::fmt;
use std::fs::Permissions;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Mode of a Unix socket: the owner and the group may connect.
const MODE: u32 = 0o660;

/// Errors of binding a Unix socket.
#[derive(Debug, Error)]
pub(crate) enum SocketError {
    /// Another program listens on the path.
    #[error("unix:{0} is already in use by another program")]
    InUse(PathBuf),
    /// The path is a file that is not a socket.
    #[error("unix:{0} exists and is not a socket")]
    NotASocket(PathBuf),
    /// Any other error.
    #[error("cannot bind unix:{0}")]
    Other(PathBuf, #[source] io::Error),
}

/// A bound socket for operators or Envoy.
#[derive(Debug)]
pub(crate) enum ControlSocket {
    /// A TCP socket.
    Tcp(TcpListener),
    /// A Unix socket and its path.
    Unix(UnixListener, PathBuf),
}

impl ControlSocket {
    /// Binds a Unix socket path. A stale socket of a process that has exited is removed.
    ///
    /// # Errors
    /// When the path is in use, or the socket cannot be created.
    pub(crate) fn bind_unix(path: &Path) -> Result<Self, SocketError> {
        let failed = |error| SocketError::Other(path.to_owned(), error);
        if let Ok(found) = std::fs::symlink_metadata(path) {
            if !found.file_type().is_socket() {
                return Err(SocketError::NotASocket(path.to_owned()));
            }
            if UnixStream::connect(path).is_ok() {
                return Err(SocketError::InUse(path.to_owned()));
            }
            std::fs::remove_file(path).map_err(failed)?;
        }
        let socket = UnixListener::bind(path).map_err(failed)?;
        std::fs::set_permissions(path, Permissions::from_mode(MODE)).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        Ok(Self::Unix(socket, path.to_owned()))
    }

    /// The address of a TCP socket.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(socket) => socket.local_addr().ok(),
            Self::Unix(..) => None,
        }
    }
}

impl fmt::Display for ControlSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(socket) => match socket.local_addr() {
                Ok(address) => address.fmt(f),
                Err(_) => f.write_str("unknown"),
            },
            Self::Unix(_, path) => write!(f, "unix:{}", path.display()),
        }
    }
}
