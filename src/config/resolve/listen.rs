//! Listen addresses, trusted proxies, timeouts and limits.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;

use super::defaults::Ctx;
use crate::config::document::span;
use crate::config::overrides::Overrides;
use crate::config::raw::{RawLimits, RawListen, RawRetries, RawTimeouts, StringOrTable};
use crate::config::settings::{
    AdminAddress, AdminToken, Limits, Listen, Retries, Timeouts, unix_path,
};
use crate::config::spanned::Spanned;
use crate::http::configured_host;

pub(super) fn listen(
    document: Ctx,
    raw: Option<StringOrTable<RawListen>>,
    folder: &Path,
    overrides: &Overrides,
) -> Listen {
    let table = match raw {
        None => RawListen::default(),
        Some(StringOrTable::Table(table)) => table,
        Some(StringOrTable::Text(text)) => {
            RawListen { http: Some(Spanned::new(0..0, text)), ..RawListen::default() }
        }
    };
    let short = table.http.as_ref().is_some_and(|http| span(http) == (0..0));
    let http_key = if short { "listen" } else { "listen.http" };
    let https = table.https.and_then(|typed| {
        address(document, ("", &None), "listen.https", Some(typed), "0.0.0.0:8443")
    });
    let off = |typed: &Option<Spanned<String>>| {
        typed.as_ref().is_some_and(|typed| typed.get_ref() == "off")
    };
    let http = if overrides.listen.is_none() && off(&table.http) {
        if https.is_none() {
            let hint = Some("set an address here or in listen.https".to_owned());
            let at = table.http.as_ref().map(span);
            document.problem(at, http_key.to_owned(), "no listen address".to_owned(), hint);
        }
        None
    } else {
        let unspecified = SocketAddr::from(([0, 0, 0, 0], 8080));
        let flag = ("--listen", &overrides.listen);
        let http = address(document, flag, http_key, table.http, "0.0.0.0:8080");
        Some(http.unwrap_or(unspecified))
    };
    let admin_text =
        overrides.admin.as_deref().or(table.admin.as_ref().map(|admin| admin.get_ref().as_str()));
    let admin = match (admin_text, admin_text.and_then(unix_path)) {
        (Some("off"), _) => None,
        (_, Some(path)) => Some(AdminAddress::Unix(path)),
        _ => {
            let flag = ("--admin", &overrides.admin);
            address(document, flag, "listen.admin", table.admin, "127.0.0.1:9090")
                .map(AdminAddress::Tcp)
        }
    };
    let admin_token = table.admin_token_file.and_then(|file| token(document, &file, folder));
    let mut trusted_proxies = Vec::new();
    for (index, text) in table.trusted_proxies.iter().enumerate() {
        let parsed = text
            .get_ref()
            .parse()
            .or_else(|_| text.get_ref().parse::<std::net::IpAddr>().map(ipnet::IpNet::from));
        match parsed {
            Ok(net) => trusted_proxies.push(canonical(net)),
            Err(_) => document.problem(
                Some(span(text)),
                format!("listen.trusted_proxies[{index}]"),
                format!("`{}` is not an address or a network", text.get_ref()),
                Some("\"10.0.0.0/8\" or \"192.0.2.7\"".to_owned()),
            ),
        }
    }
    let proxy_protocol = table.proxy_protocol.unwrap_or(false);
    let reuse_port = table.reuse_port.unwrap_or(false);
    let admin_hosts = admin_hosts(document, &table.admin_hosts);
    Listen {
        http,
        https,
        admin,
        admin_hosts,
        admin_token,
        reuse_port,
        proxy_protocol,
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

fn admin_hosts(document: Ctx, hosts: &[Spanned<String>]) -> Vec<String> {
    let mut names = Vec::new();
    for (index, host) in hosts.iter().enumerate() {
        let text = host.get_ref();
        match configured_host(text) {
            Some(name) => names.push(name),
            None => {
                let key = format!("listen.admin_hosts[{index}]");
                let hint = Some("a name without scheme and port".to_owned());
                document.problem(Some(span(host)), key, format!("`{text}` is not a host"), hint);
            }
        }
    }
    names
}

/// Minimum length of a token in characters, so that it cannot be guessed.
const SHORTEST_TOKEN: usize = 16;

/// Reads the token from the first line of a file.
fn token(document: Ctx, file: &Spanned<String>, folder: &Path) -> Option<AdminToken> {
    let path = folder.join(file.get_ref());
    let read = document.read_text(&path).map_err(|error| format!("cannot read the file: {error}"));
    let token = read.and_then(|text| {
        let token = text.lines().next().unwrap_or_default().trim();
        let good =
            token.len() >= SHORTEST_TOKEN && token.bytes().all(|byte| byte.is_ascii_graphic());
        let wrong = "the first line must be 16 or more printable ASCII characters";
        if good { Ok(AdminToken(token.to_owned())) } else { Err(wrong.to_owned()) }
    });
    token
        .map_err(|reason| {
            let message = format!("`{}`: {reason}", file.get_ref());
            let key = "listen.admin_token_file".to_owned();
            document.problem(Some(span(file)), key, message, None);
        })
        .ok()
}

fn address(
    document: Ctx,
    (flag, flagged): (&str, &Option<String>),
    key: &str,
    typed: Option<Spanned<String>>,
    default: &str,
) -> Option<SocketAddr> {
    let text = flagged.as_deref().or(typed.as_ref().map(|typed| typed.get_ref().as_str()));
    let text = text.unwrap_or(default);
    // `:8080` is short for `0.0.0.0:8080`, as in many other proxies.
    let full = if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.to_owned() };
    let full = full.replacen("localhost:", "127.0.0.1:", 1);
    let parsed = full.parse().ok();
    if parsed.is_none() {
        let message = format!("`{text}` is not an address with a port");
        let hint = format!("such as \"{default}\"");
        if flagged.is_some() {
            document.flag_problem(flag, message, Some(&hint));
        } else {
            let at = typed.as_ref().map(span).filter(|at| *at != (0..0));
            let at = at.or_else(|| document.text.find("listen").map(|at| at..at));
            document.problem(at, key.to_owned(), message, Some(hint));
        }
    }
    parsed
}

pub(super) fn timeouts(document: Ctx, raw: RawTimeouts) -> Timeouts {
    let least = Duration::from_millis(1);
    let mut seconds = |name: &str, typed, default: u64, least| {
        let default = Duration::from_secs(default);
        document.duration(&format!("timeouts.{name}"), typed, default, least)
    };
    Timeouts {
        connect: seconds("connect", raw.connect, 5, least),
        request_head: seconds("request_head", raw.request_head, 10, least),
        idle: seconds("idle", raw.idle, 75, least),
        first_byte: seconds("first_byte", raw.first_byte, 60, least),
        upstream_idle: seconds("upstream_idle", raw.upstream_idle, 30, least),
        drain: seconds("drain", raw.drain, 30, least),
        drain_delay: seconds("drain_delay", raw.drain_delay, 0, Duration::ZERO),
    }
}

pub(super) fn limits(document: Ctx, raw: RawLimits, retries: RawRetries) -> Limits {
    Limits {
        header_bytes: document.bounded(
            "limits.header_bytes",
            raw.header_bytes,
            8192,
            1 << 20,
            65_536,
        ),
        header_fields: document.bounded("limits.header_fields", raw.header_fields, 8, 4096, 128),
        idle_upstream_connections: document.bounded(
            "limits.idle_upstream_connections",
            raw.idle_upstream_connections,
            0,
            65_536,
            1024,
        ),
        connections: raw.connections.map(|connections| {
            document.bounded("limits.connections", Some(connections), 1, 10_000_000, 1)
        }),
        retries: Retries {
            percent: document.bounded("retries.percent", retries.percent, 0, 100, 20),
            least: document.bounded("retries.least", retries.least, 0, 1_000_000, 10),
        },
    }
}
