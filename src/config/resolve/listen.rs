//! Listen addresses, trusted proxies, timeouts and limits.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use ipnet::IpNet;

use crate::config::document::Ctx;
use crate::config::overrides::Overrides;
use crate::config::raw::{RawLimits, RawListen, RawRetries, RawTimeouts, StringOrTable};
use crate::config::settings::{
    AdminAddress, AdminToken, Limits, Listen, Retries, Timeouts, unix_path,
};
use crate::config::spanned::{Spanned, Text};
use crate::http::configured_host;

pub(super) fn listen(
    document: Ctx,
    raw: Option<Spanned<StringOrTable<RawListen>>>,
    folder: &Path,
    overrides: &Overrides,
) -> Listen {
    let table = raw.map_or_else(RawListen::default, |raw| {
        let at = raw.span();
        match raw.into_inner() {
            StringOrTable::Table(table) => table,
            StringOrTable::Text(text) => {
                RawListen { http: Spanned::new(at, text), ..RawListen::default() }
            }
        }
    });
    let default = RawListen::default();
    let https = table.https.as_ref();
    let https = https.and_then(|typed| address(document, None, typed, "0.0.0.0:8443"));
    let http = if overrides.listen.is_none() && table.http.get_ref() == "off" {
        if https.is_none() {
            let hint = Some("an address here, or in listen.https");
            document.wrong(&table.http, "nothing is listened on", hint);
        }
        None
    } else {
        let flag = overrides.listen.as_deref().map(|text| ("--listen", text));
        let http = address(document, flag, &table.http, default.http.get_ref());
        Some(http.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 8080))))
    };
    let admin = overrides.admin.as_deref().unwrap_or(table.admin.get_ref());
    let admin = match (admin, unix_path(admin)) {
        ("off", _) => None,
        (_, Some(path)) => Some(AdminAddress::Unix(path)),
        _ => {
            let flag = overrides.admin.as_deref().map(|text| ("--admin", text));
            let admin = address(document, flag, &table.admin, default.admin.get_ref());
            admin.map(AdminAddress::Tcp)
        }
    };
    let mut trusted_proxies = Vec::new();
    for text in &table.trusted_proxies {
        let address = || text.get_ref().parse::<IpAddr>().map(IpNet::from);
        match text.get_ref().parse().or_else(|_| address()) {
            Ok(net) => trusted_proxies.push(canonical(net)),
            Err(_) => {
                let hint = Some("\"10.0.0.0/8\" or \"192.0.2.7\"");
                document.is_not(text, "an address or a network", hint);
            }
        }
    }
    let mut admin_hosts = Vec::new();
    for host in &table.admin_hosts {
        match configured_host(host.get_ref()) {
            Some(name) => admin_hosts.push(name),
            None => document.is_not(host, "a host", Some("a name without scheme and port")),
        }
    }
    Listen {
        http,
        https,
        admin,
        admin_hosts,
        admin_token: table.admin_token_file.and_then(|file| token(document, &file, folder)),
        reuse_port: table.reuse_port,
        proxy_protocol: table.proxy_protocol,
        trusted_proxies,
    }
}

/// Normalizes a network for comparison with addresses: IPv4-mapped IPv6 becomes IPv4.
fn canonical(net: IpNet) -> IpNet {
    match (net.addr().to_canonical(), net.prefix_len().checked_sub(96)) {
        (address @ IpAddr::V4(_), Some(bits)) if net.addr().is_ipv6() => {
            IpNet::new(address, bits).unwrap_or(net)
        }
        _ => net,
    }
}

/// Minimum length of a token in characters, so that it cannot be guessed.
const SHORTEST_TOKEN: usize = 16;

/// Reads the token from the first line of a file.
fn token(document: Ctx, file: &Text, folder: &Path) -> Option<AdminToken> {
    let read = document.read_text(&folder.join(file.get_ref())).and_then(|text| {
        let token = text.lines().next().unwrap_or_default().trim();
        let good =
            token.len() >= SHORTEST_TOKEN && token.bytes().all(|byte| byte.is_ascii_graphic());
        let wrong = "its first line is no token: 16 visible ASCII characters or more";
        if good { Ok(AdminToken(token.to_owned())) } else { Err(wrong.to_owned()) }
    });
    document.checked(file, read)
}

/// Parses an address. A flag, which is given with its name, takes precedence over the config.
fn address(
    document: Ctx,
    flag: Option<(&str, &str)>,
    typed: &Text,
    example: &str,
) -> Option<SocketAddr> {
    let text = flag.map_or(typed.get_ref().as_str(), |(_, text)| text);
    // `:8080` is short for `0.0.0.0:8080`, as in many other proxies.
    let full = if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.to_owned() };
    let parsed = full.replacen("localhost:", "127.0.0.1:", 1).parse().ok();
    if parsed.is_none() {
        let expected = "an address with a port";
        let hint = format!("such as \"{example}\"");
        match flag {
            Some((flag, text)) => {
                let message = format!("`{text}` is not {expected}");
                document.flag_problem(flag, message, Some(&hint));
            }
            None => document.is_not(typed, expected, Some(&hint)),
        }
    }
    parsed
}

pub(super) fn timeouts(raw: RawTimeouts) -> Timeouts {
    Timeouts {
        connect: raw.connect.0,
        request_head: raw.request_head.0,
        idle: raw.idle.0,
        first_byte: raw.first_byte.0,
        upstream_idle: raw.upstream_idle.0,
        drain: raw.drain.0,
        drain_delay: raw.drain_delay.0,
    }
}

pub(super) fn limits(raw: RawLimits, retries: RawRetries) -> Limits {
    Limits {
        header_bytes: raw.header_bytes.get(),
        header_fields: raw.header_fields.get(),
        idle_upstream_connections: raw.idle_upstream_connections.get(),
        connections: raw.connections.map(|connections| connections.get()),
        retries: Retries { percent: retries.percent.get(), least: retries.least.get() },
    }
}
