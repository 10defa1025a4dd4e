//! Detection of upstreams that are listeners of this process: requests would loop, or reach the admin listener.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use crate::config::diagnostic::Diagnostic;
use crate::config::document::ConfigDocument;
use crate::config::settings::{AdminAddress, Listen, SiteConfig, Upstream};

/// A warning for each such upstream.
pub(super) fn warnings(
    document: &ConfigDocument<'_>,
    listen: &Listen,
    sites: &[SiteConfig],
) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    for site in sites {
        for upstream in site.balance.upstreams.iter().map(|upstream| &upstream.address) {
            if let Some(key) = listener_at(listen, upstream) {
                let message =
                    format!("the upstream `{upstream}` of `{}` is {key} of this config", site.name);
                warnings.push(document.of_file(message));
            }
        }
    }
    warnings
}

/// The key of the listener that an upstream leads to. Only IP addresses and `localhost` are compared. Other names are
/// not resolved.
fn listener_at(listen: &Listen, upstream: &Upstream) -> Option<&'static str> {
    let (host, port) = match upstream {
        Upstream::Unix(path) => {
            let own = listen.admin == Some(AdminAddress::Unix(path.clone()));
            return own.then_some("listen.admin");
        }
        Upstream::Tcp { host, port, .. } => (host.trim_end_matches('.'), *port),
    };
    let here = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
    let addresses = match host.parse::<IpAddr>() {
        Ok(address) if address.is_unspecified() => here.to_vec(),
        Ok(address) => vec![address.to_canonical()],
        Err(_) if host.eq_ignore_ascii_case("localhost") => here.to_vec(),
        Err(_) => return None,
    };
    let is_at = |listener: &SocketAddr| {
        let own = listener.ip().to_canonical();
        let leads =
            |address: &IpAddr| *address == own || own.is_unspecified() && is_local(*address);
        // For port 0 the system chooses another port.
        port == listener.port() && addresses.iter().any(leads)
    };
    let admin = match listen.admin {
        Some(AdminAddress::Tcp(address)) => Some(address),
        _ => None,
    };
    [("listen.http", listen.http), ("listen.https", listen.https), ("listen.admin", admin)]
        .into_iter()
        .find_map(|(key, listener)| listener.filter(is_at).map(|_| key))
}

/// Whether an address belongs to this machine: a socket can be bound only to a local address.
fn is_local(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}
