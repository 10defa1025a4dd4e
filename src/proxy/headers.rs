//! Header fields that a proxy must remove, add or believe (RFC 9110 section 7.6, RFC 7239).

use std::net::IpAddr;

use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, FORWARDED, HOST, HeaderMap,
    HeaderName, HeaderValue, TE, UPGRADE, VIA,
};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Fields that are for one connection only, besides `Connection` (RFC 9110 section 7.6.1).
const HOP_BY_HOP: &[&str] = &[
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
    "proxy-authorization",
    "te",
];

/// Fields that frame or route the message: `Connection` cannot name them away.
const NOT_HOP_BY_HOP: &[HeaderName] = &[HOST, CONTENT_LENGTH, COOKIE, AUTHORIZATION];

/// Whether a `Connection` field names this option.
fn connection_has(headers: &HeaderMap, option: &str) -> bool {
    headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|name| name.trim_ascii().eq_ignore_ascii_case(option.as_bytes()))
}

/// The protocol that a request asks to switch to, if it may: not another HTTP or TLS, behind
/// which responses would pass unfiltered.
pub(super) fn wanted_upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let wanted = headers.get(UPGRADE)?;
    if !connection_has(headers, "upgrade") {
        return None;
    }
    let hides_http = wanted.as_bytes().split(|byte| *byte == b',').any(|protocol| {
        let name = protocol.split(|byte| *byte == b'/').next().unwrap_or_default().trim_ascii();
        [&b"h2c"[..], b"h2", b"http", b"tls"].iter().any(|bad| name.eq_ignore_ascii_case(bad))
    });
    (!hides_http).then(|| wanted.clone())
}

/// Removes the fields that are for this connection only, and those that `Connection` names, but for `ours`.
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap, ours: Option<&HeaderName>) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            // What it nearly always says names no field.
            .filter(|value| !matches!(value.as_bytes(), b"keep-alive" | b"close" | b"Keep-Alive"))
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
            .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
            .filter(|name| !NOT_HOP_BY_HOP.contains(name) && Some(name) != ours)
            .collect();
        for name in named {
            headers.remove(name);
        }
        headers.remove(CONNECTION);
    }
    // Seldom there: one pass over the names rules all of them out.
    if headers.keys().any(|name| HOP_BY_HOP.contains(&name.as_str())) {
        for name in HOP_BY_HOP {
            headers.remove(*name);
        }
    }
}

/// Makes a request's header section fit for the upstream.
///
/// `upgrade` is what [`wanted_upgrade`] found; `ours` is a field that we have set and that no `Connection` of the visitor's
/// takes away. `Expect` goes because the visitor's
/// `100 Continue` is sent from here, once the upstream takes the body.
pub(super) fn prepare_request(
    headers: &mut HeaderMap,
    upgrade: Option<HeaderValue>,
    ours: Option<&HeaderName>,
) {
    let trailers = headers.get(TE).is_some_and(|te| {
        te.as_bytes()
            .split(|byte| *byte == b',')
            .any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
    });
    remove_hop_by_hop(headers, ours);
    headers.remove(EXPECT);
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    if let Some(protocol) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol);
    }
}

/// Joins `Cookie` fields into one, as HTTP/1.1 demands (RFC 9113 section 8.2.3).
pub fn join_cookies(headers: &mut HeaderMap) {
    let mut fields = headers.get_all(COOKIE).iter();
    if fields.next().is_none() || fields.next().is_none() {
        return;
    }
    let fields: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_maybe_shared(Bytes::from(fields.join(&b"; "[..]))) {
        headers.insert(COOKIE, joined);
    }
}

/// A visitor's connection as the forwarding fields tell of it.
#[derive(Debug)]
pub(super) struct Peer {
    /// Whether what the peer says of the visitor is believed.
    pub(super) trusted: bool,
    secure: bool,
    address: HeaderValue,
    /// The beginning of a `Forwarded` element: `for=…;host="`.
    forwarded_for: Box<[u8]>,
}

impl Peer {
    pub(super) fn new(address: IpAddr, trusted: bool, secure: bool) -> Self {
        let address = address.to_canonical();
        let node = match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("\"[{address}]\""),
        };
        Self {
            trusted,
            secure,
            // An address is always a valid field value.
            address: HeaderValue::from_str(&address.to_string())
                .unwrap_or(HeaderValue::from_static("unknown")),
            forwarded_for: format!("for={node};host=\"").into_bytes().into(),
        }
    }

    /// Whether the visitor's side is https: by our own socket, or as a trusted proxy tells.
    pub(super) fn is_secure(&self, headers: &HeaderMap) -> bool {
        if !self.trusted {
            return self.secure;
        }
        match headers.get(X_FORWARDED_PROTO) {
            Some(proto) => proto.as_bytes().trim_ascii().eq_ignore_ascii_case(b"https"),
            None => self.secure,
        }
    }

    /// The visitor's address: the peer's own, or what a trusted one says in `X-Forwarded-For` of whom it
    /// has the request from.
    pub(super) fn visitor_address(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let told = headers.get_all(X_FORWARDED_FOR).iter().next_back().filter(|_| self.trusted);
        let told = told.and_then(|told| told.to_str().ok()?.rsplit(',').next());
        let own = self.address.to_str().ok();
        told.or(own).and_then(|address| address.trim().parse().ok())
    }

    /// Adds this hop: `Via`, `X-Forwarded-*`, `Forwarded`. What an untrusted peer says of earlier
    /// hops is replaced, what a trusted one says is continued.
    pub(super) fn add_forwarding(&self, headers: &mut HeaderMap, version: http::Version) {
        headers.reserve(5);
        let via = match version {
            http::Version::HTTP_2 => "2.0 consentry",
            http::Version::HTTP_10 => "1.0 consentry",
            _ => "1.1 consentry",
        };
        append_to_list(headers, VIA, HeaderValue::from_static(via), true);
        append_to_list(headers, X_FORWARDED_FOR, self.address.clone(), self.trusted);

        let proto = if self.secure { "https" } else { "http" };
        let host = headers.get(HOST).cloned();
        let mut element = Vec::with_capacity(self.forwarded_for.len() + 64);
        element.extend_from_slice(&self.forwarded_for);
        for byte in host.as_ref().map(HeaderValue::as_bytes).unwrap_or_default() {
            if matches!(byte, b'"' | b'\\') {
                element.push(b'\\');
            }
            element.push(*byte);
        }
        element.extend_from_slice(b"\";proto=");
        element.extend_from_slice(proto.as_bytes());
        if let Ok(element) = HeaderValue::from_maybe_shared(Bytes::from(element)) {
            append_to_list(headers, FORWARDED, element, self.trusted);
        }
        if !self.trusted || !headers.contains_key(X_FORWARDED_PROTO) {
            headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(proto));
        }
        if (!self.trusted || !headers.contains_key(X_FORWARDED_HOST))
            && let Some(host) = host
        {
            headers.insert(X_FORWARDED_HOST, host);
        }
    }
}

/// Appends to a comma-separated field, or replaces it where its content is not believed.
fn append_to_list(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue, believed: bool) {
    if !believed || !headers.contains_key(&name) {
        headers.insert(name, value);
        return;
    }
    let mut list: Vec<&[u8]> = headers.get_all(&name).iter().map(HeaderValue::as_bytes).collect();
    list.push(value.as_bytes());
    let list = list.join(&b", "[..]);
    if let Ok(list) = HeaderValue::from_maybe_shared(Bytes::from(list)) {
        headers.insert(name, list);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn fields_for_one_connection_and_those_that_connection_names_are_removed() {
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
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort();
        assert_eq!(left, ["cookie", "host", "trailer"]);
    }

    #[test]
    fn only_upgrades_that_hide_no_http_are_wanted() {
        let wanted = |connection: &'static str, upgrade: &'static str| {
            wanted_upgrade(&map(&[("connection", connection), ("upgrade", upgrade)])).is_some()
        };
        assert!(wanted("keep-alive, Upgrade", "websocket"));
        assert!(!wanted("keep-alive", "websocket"));
        assert!(!wanted("upgrade, http2-settings", "h2c"));
        assert!(!wanted("upgrade", "websocket, HTTP/2.0"));
        assert!(!wanted("upgrade", "TLS/1.3"));
    }

    #[test]
    fn cookie_fields_are_joined_for_the_upstream() {
        let mut headers = map(&[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2; c=3")]);
        join_cookies(&mut headers);
        assert_eq!(headers.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2; c=3"]);
    }

    #[test]
    fn an_untrusted_peer_cannot_speak_for_others_and_a_trusted_one_can() {
        let said = [
            ("host", "shop.example"),
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "www.example"),
            ("forwarded", "for=6.6.6.6"),
            ("via", "1.1 edge"),
        ];
        let address: IpAddr = [192, 0, 2, 1].into();
        let added = |trusted| {
            let mut headers = map(&said);
            let peer = Peer::new(address, trusted, false);
            assert_eq!(peer.is_secure(&headers), trusted);
            peer.add_forwarding(&mut headers, http::Version::HTTP_11);
            ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded", "via"]
                .map(|name| headers[name].to_str().expect("ASCII").to_owned())
        };
        let own = "for=192.0.2.1;host=\"shop.example\";proto=http";
        assert_eq!(
            added(false),
            ["192.0.2.1", "http", "shop.example", own, "1.1 edge, 1.1 consentry"]
        );
        assert_eq!(
            added(true),
            [
                "6.6.6.6, 192.0.2.1",
                "https",
                "www.example",
                &format!("for=6.6.6.6, {own}"),
                "1.1 edge, 1.1 consentry"
            ]
        );
    }

    #[test]
    fn a_v6_address_is_quoted_in_forwarded_and_a_mapped_v4_address_is_v4() {
        let peer = Peer::new("2001:db8::1".parse().expect("valid"), false, true);
        let mut headers = map(&[("host", "a\"b")]);
        peer.add_forwarding(&mut headers, http::Version::HTTP_2);
        assert_eq!(headers["forwarded"], "for=\"[2001:db8::1]\";host=\"a\\\"b\";proto=https");
        let mapped = Peer::new("::ffff:192.0.2.1".parse().expect("valid"), false, false);
        assert_eq!(mapped.address, "192.0.2.1");
    }
}
