//! Where others than visitors connect: an address, or a path.

use std::fmt;
use std::fs::Permissions;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Who may ask at a path: the user, and its group.
const MODE: u32 = 0o660;

/// Why a path cannot be listened on.
#[derive(Debug, Error)]
pub enum SocketError {
    /// Another program listens there.
    #[error("unix:{0} is already in use by another program")]
    InUse(PathBuf),
    /// There is a file that is not a socket.
    #[error("unix:{0} exists and is not a socket")]
    NotASocket(PathBuf),
    /// Anything else.
    #[error("cannot bind unix:{0}")]
    Other(PathBuf, #[source] io::Error),
}

/// A bound socket that others than visitors connect to: operators, Envoy.
#[derive(Debug)]
pub enum PrivateSocket {
    /// Of the network.
    Tcp(TcpListener),
    /// Of this machine, with its path.
    Unix(UnixListener, PathBuf),
}

impl PrivateSocket {
    /// Binds a path. What a process left there that has ended is taken away.
    ///
    /// # Errors
    /// When the path is in use, or cannot be made.
    pub fn bind_unix(path: &Path) -> Result<Self, SocketError> {
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

    /// The address, of a socket of the network.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(socket) => socket.local_addr().ok(),
            Self::Unix(..) => None,
        }
    }
}

impl fmt::Display for PrivateSocket {
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
