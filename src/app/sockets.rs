//! Startup sockets: bound by this process, or inherited from systemd (sd_listen_fds(3)).

use std::net::SocketAddr;

use anyhow::{Context, bail};
use listenfd::ListenFd;

use crate::admin::ControlSocket;
use crate::config::settings::{AdminAddress, Listen};
use crate::proxy::Listener;

/// The sockets of a proxy.
pub(super) struct Sockets {
    pub(super) http: Option<Listener>,
    pub(super) https: Option<Listener>,
    pub(super) admin: Option<ControlSocket>,
}

impl Sockets {
    /// Takes the inherited sockets and binds the missing ones.
    pub(super) fn open(listen: &Listen) -> anyhow::Result<Self> {
        let mut inherited = Inherited::take()?;
        let mut open = |name: &str, address: Option<SocketAddr>| match inherited.named(name) {
            Some(listener) => Ok(Some(listener)),
            None => address.map(|address| Listener::bind(address, listen.reuse_port)).transpose(),
        };
        let http = open("http", listen.http)?;
        let https = open("https", listen.https)?;
        if https.is_some() && listen.https.is_none() {
            bail!("inherited socket `https`, but listen.https is not configured");
        }
        let admin = match (inherited.named("admin"), &listen.admin) {
            (Some(listener), _) => Some(ControlSocket::Tcp(listener.into_socket())),
            (None, None) => None,
            (None, Some(address)) => Some(private(address, listen.reuse_port)?),
        };
        inherited.reject_unused()?;
        Ok(Self { http, https, admin })
    }
}

/// Binds an address for operators or Envoy.
pub(super) fn private(address: &AdminAddress, reuse_port: bool) -> anyhow::Result<ControlSocket> {
    Ok(match address {
        AdminAddress::Tcp(address) => {
            ControlSocket::Tcp(Listener::bind(*address, reuse_port)?.into_socket())
        }
        AdminAddress::Unix(path) => ControlSocket::bind_unix(path)?,
    })
}

/// Sockets inherited from systemd, by name (`FileDescriptorName=` in the unit).
struct Inherited(Vec<(String, Listener)>);

impl Inherited {
    fn take() -> anyhow::Result<Self> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut fds = ListenFd::from_env();
        let mut names = names.split(':');
        let mut sockets = Vec::new();
        for index in 0..fds.len() {
            // Without names, the only socket is that for clients.
            let name = names.next().filter(|name| !name.is_empty() && *name != "unknown");
            let name = name.unwrap_or("http").to_owned();
            let listener = fds.take_tcp_listener(index);
            let listener = listener.and_then(|socket| socket.map(Listener::inherit).transpose());
            let socket = listener.with_context(|| format!("inherited socket `{name}`"))?;
            sockets.extend(socket.map(|socket| (name, socket)));
        }
        Ok(Self(sockets))
    }

    fn named(&mut self, name: &str) -> Option<Listener> {
        let index = self.0.iter().position(|(socket_name, _)| socket_name == name)?;
        Some(self.0.swap_remove(index).1)
    }

    fn reject_unused(&self) -> anyhow::Result<()> {
        if let Some((name, _)) = self.0.first() {
            bail!(
                "unexpected inherited socket `{name}`: supported are http, https and admin, one of each"
            );
        }
        Ok(())
    }
}
