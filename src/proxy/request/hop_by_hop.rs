//! Hop-by-hop header fields: removal and replacement (RFC 9110 section 7.6).

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderName, MAX_FORWARDS, TE,
    UPGRADE,
};
use http::{Method, Version};

use crate::http::{FieldSection, Fields, has_member, members_of};

/// Hop-by-hop fields besides `Connection` (RFC 9110 section 7.6.1).
const HOP_BY_HOP: &[&str] = &[
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
    "proxy-authorization",
    "te",
];

/// Fields for framing, routing and credentials. `Connection` cannot remove them.
const NOT_HOP_BY_HOP: &[HeaderName] = &[HOST, CONTENT_LENGTH, COOKIE, AUTHORIZATION];

/// Returns the protocol that a request asks to switch to, if the switch is allowed.
///
/// HTTP and TLS are not allowed, because responses inside them would pass unfiltered.
pub(crate) fn wanted_upgrade(fields: &FieldSection) -> Option<Vec<u8>> {
    let wanted = fields.value(&UPGRADE)?;
    if !has_member(fields, &CONNECTION, "upgrade") {
        return None;
    }
    let hides_http = members_of(wanted).any(|protocol| {
        let name = protocol.split(|byte| *byte == b'/').next().unwrap_or_default().trim_ascii();
        [&b"h2c"[..], b"h2", b"http", b"tls"].iter().any(|bad| name.eq_ignore_ascii_case(bad))
    });
    (!hides_http).then(|| wanted.to_vec())
}

/// Decrements `Max-Forwards` of a TRACE or OPTIONS request (RFC 9110 section 7.6.2).
///
/// Returns whether this proxy is the final recipient.
pub(crate) fn is_last_hop(method: &Method, fields: &mut FieldSection) -> bool {
    if !matches!(*method, Method::TRACE | Method::OPTIONS) {
        return false;
    }
    let hops = fields.value(&MAX_FORWARDS);
    let hops = hops.and_then(|hops| std::str::from_utf8(hops).ok()?.parse::<u64>().ok());
    match hops {
        None => false,
        Some(0) => true,
        Some(hops) => {
            fields.insert(&MAX_FORWARDS, (hops - 1).to_string());
            false
        }
    }
}

/// Removes hop-by-hop fields and the fields that `Connection` lists, except `ours`.
pub(crate) fn remove_hop_by_hop(fields: &mut FieldSection, ours: Option<&HeaderName>) {
    let named: Vec<HeaderName> = fields
        .values(&CONNECTION)
        // The most common values list no fields.
        .filter(|value| !matches!(*value, b"keep-alive" | b"close" | b"Keep-Alive"))
        .flat_map(members_of)
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .filter(|name| !NOT_HOP_BY_HOP.contains(name) && Some(name) != ours)
        .collect();
    let is_named = |name: &str| named.iter().any(|named| named == name);
    fields.remove_where(|name, _| {
        name == "connection" || HOP_BY_HOP.contains(&name) || is_named(name)
    });
}

/// Prepares a request's header section for the upstream.
///
/// `upgrade` is the result of [`wanted_upgrade`]. `ours` is a field set by consentry, and the
/// client's `Connection` cannot remove it. `Expect` is kept for HTTP/1.1 only: other clients do not
/// wait for a 100 response.
pub(crate) fn prepare_request(
    fields: &mut FieldSection,
    upgrade: Option<Vec<u8>>,
    ours: Option<&HeaderName>,
    version: Version,
) {
    let trailers = has_member(fields, &TE, "trailers");
    remove_hop_by_hop(fields, ours);
    if version != Version::HTTP_11 {
        fields.remove(&EXPECT);
    }
    if trailers {
        fields.insert(&TE, "trailers");
        fields.insert(&CONNECTION, "te");
    }
    if let Some(protocol) = upgrade {
        fields.insert(&CONNECTION, "upgrade");
        fields.insert(&UPGRADE, protocol);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&str, &str)]) -> FieldSection {
        FieldSection::from_lines(fields)
    }

    #[test]
    fn hop_by_hop_fields_and_fields_named_by_connection_are_removed() {
        let mut headers = map(&[
            ("host", "a"),
            ("connection", "close, X-Secret , Host, Cookie"),
            ("connection", "x-other"),
            ("x-secret", "1"),
            ("x-other", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("transfer-encoding", "chunked"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("cookie", "a=1"),
            ("trailer", "x"),
        ]);
        remove_hop_by_hop(&mut headers, None);
        let mut left: Vec<_> = headers.names().collect();
        left.sort();
        assert_eq!(left, ["cookie", "host", "trailer"]);
    }

    #[test]
    fn upgrades_to_another_http_version_are_ignored() {
        let wanted = |connection: &'static str, upgrade: &'static str| {
            wanted_upgrade(&map(&[("connection", connection), ("upgrade", upgrade)])).is_some()
        };
        assert!(wanted("keep-alive, Upgrade", "websocket"));
        assert!(!wanted("keep-alive", "websocket"));
        assert!(!wanted("upgrade, http2-settings", "h2c"));
        assert!(!wanted("upgrade", "websocket, HTTP/2.0"));
        assert!(!wanted("upgrade", "TLS/1.3"));
    }
}
