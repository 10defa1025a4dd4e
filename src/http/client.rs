//! Client of a request: address and scheme.
//!
//! Both are determined once per request, from the connection. Behind trusted proxies the forwarding
//! fields are used too (RFC 7239, `X-Forwarded-*`).

use core::net::IpAddr;
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Version;
use http::header::{FORWARDED, HOST, HeaderName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::field_names::{remove_client_addresses, remove_forwarding};
use super::fields::{FieldSection, Fields};
use super::forwarded::{
    Hop, Hops, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO, X_FORWARDED_SCHEME,
    X_FORWARDED_SSL,
};
use super::host::Authority;
use super::via::Via;

const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
const CLIENT_CERT_CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");

/// The peer of a client connection.
#[derive(Debug)]
pub(crate) struct Peer {
    address: IpAddr,
    secure: bool,
    /// The address as a field value.
    value: Box<str>,
    /// The start of a `Forwarded` element: `for=…;host="`.
    element: Box<[u8]>,
    /// The client certificate, if it is forwarded to upstreams.
    certificate: OnceLock<Box<ClientCertificate>>,
}

/// The client address in the forwarding fields for upstreams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ForwardedFor {
    /// The address.
    Full,
    /// The network: the first 24 bits of an IPv4 address, the first 48 bits of an IPv6 address.
    Network,
    /// No address.
    None,
}

impl ForwardedFor {
    /// Reduces the address of a client. The port is dropped.
    fn reduce(self, client: Hop) -> Option<Hop> {
        match self {
            Self::Full => Some(client),
            Self::Network => Some(network(client.address).into()),
            Self::None => None,
        }
    }
}

/// The network of a client: the first 24 bits of an IPv4 address, the first 48 bits of an IPv6 address.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4((u32::from(address) & (u32::MAX << 8)).into()),
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & (u128::MAX << 80)).into()),
    }
}

/// A client certificate as field values (RFC 9440 section 2).
#[derive(Debug)]
struct ClientCertificate {
    certificate: Box<str>,
    /// The rest of the chain; `None` if there is none.
    chain: Option<Box<str>>,
}

impl Peer {
    /// Creates a peer. `secure` is true for a TLS connection.
    pub(crate) fn new(address: IpAddr, secure: bool) -> Self {
        let address = address.to_canonical();
        Self {
            address,
            secure,
            value: address.to_string().into(),
            element: format!("for={};host=\"", Hop::from(address).quoted()).into_bytes().into(),
            certificate: OnceLock::new(),
        }
    }

    /// Sets the client certificate and its chain, each in DER.
    pub(crate) fn set_certificate(&self, chain: &[impl AsRef<[u8]>]) {
        let mut items = chain.iter().map(|der| format!(":{}:", STANDARD.encode(der)));
        let Some(certificate) = items.next().map(Box::from) else { return };
        let issuers: Vec<String> = items.collect();
        let chain = (!issuers.is_empty()).then(|| issuers.join(", ").into());
        let shown = ClientCertificate { certificate, chain };
        let _ = self.certificate.set(Box::new(shown));
    }
}

/// The client of a request.
#[derive(Debug)]
pub(crate) struct Client {
    /// The canonical address: IPv4-mapped IPv6 addresses are converted to IPv4.
    pub(crate) address: IpAddr,
    /// The client uses HTTPS.
    pub(crate) secure: bool,
    /// The peer is a trusted proxy, so its forwarding fields are trusted.
    pub(crate) trusted: bool,
    /// The hops before the peer, if it is trusted.
    nodes: Vec<Option<Hop>>,
    /// The index of the client in `nodes`. `None` if the client is the peer.
    index: Option<usize>,
    /// The host requested from a trusted proxy, if the forwarding fields name one.
    host: Option<Box<str>>,
}

impl Client {
    /// Determines the client of a request. `trusts` returns whether an address is a trusted proxy.
    ///
    /// The hops are followed from right to left past trusted proxies. `X-Forwarded-For` is read
    /// before `Forwarded`. If the two name different clients, one was not written by the proxy, and
    /// neither is trusted. At an unreadable hop, the client is the hop that reported it, so there
    /// is always an address.
    pub(crate) fn of(peer: &Peer, fields: &impl Fields, trusts: impl Fn(IpAddr) -> bool) -> Self {
        let Peer { address, secure, .. } = *peer;
        if !trusts(address) {
            let (nodes, index, host) = (Vec::new(), None, None);
            return Self { address, secure, trusted: false, nodes, index, host };
        }
        let x_forwarded = Hops::of_x_forwarded(fields);
        let forwarded = Hops::of_forwarded(fields);
        let (by_x_forwarded, by_forwarded) =
            (x_forwarded.client(&trusts), forwarded.client(&trusts));
        let client = match (x_forwarded.nodes.is_empty(), forwarded.nodes.is_empty()) {
            (true, _) => by_forwarded,
            (false, true) => by_x_forwarded,
            (false, false) => by_x_forwarded
                .filter(|(_, address)| by_forwarded.is_some_and(|(_, other)| other == *address)),
        };
        let at = |client: Option<(usize, IpAddr)>| client.map(|(index, _)| index);
        let forwarded_secure = x_forwarded.is_secure(at(by_x_forwarded));
        let forwarded_secure = forwarded_secure.or_else(|| forwarded.is_secure(at(by_forwarded)));
        let host = x_forwarded.host(at(by_x_forwarded));
        let host = host.or_else(|| forwarded.host(at(by_forwarded)));
        let host = host.filter(|host| Authority::parse(host.as_bytes()).is_some());
        Self {
            address: client.map_or(address, |(_, address)| address),
            secure: forwarded_secure.unwrap_or(secure),
            trusted: true,
            index: at(client),
            host: host.map(Box::from),
            nodes: if x_forwarded.nodes.is_empty() { forwarded.nodes } else { x_forwarded.nodes },
        }
    }

    /// Removes the forwarding fields that are not trusted.
    pub(crate) fn remove_forged(&self, fields: &mut FieldSection) {
        remove_forwarding(fields, self.trusted);
    }

    /// Adds this hop to `Via`, `CDN-Loop`, `X-Forwarded-*` and `Forwarded`.
    ///
    /// `X-Forwarded-*` and `Forwarded` list the same hops, and the scheme and host that the client
    /// used. `Client-Cert` has the peer's certificate. Behind a trusted proxy the proxy's own
    /// `Client-Cert` is kept.
    pub(crate) fn add_forwarding(
        &self,
        peer: &Peer,
        fields: &mut FieldSection,
        (via, version): (&Via, Version),
        forwarded_for: ForwardedFor,
    ) {
        if let Some(shown) = peer.certificate.get().filter(|_| !self.trusted) {
            fields.insert(&CLIENT_CERT, shown.certificate.as_bytes());
            insert(fields, &CLIENT_CERT_CHAIN, shown.chain.as_deref().map(str::as_bytes));
        }
        via.add(fields, version);
        let (proto, ssl) = if self.secure { ("https", "on") } else { ("http", "off") };
        let host = match &self.host {
            Some(host) => Some(host.as_bytes().to_vec()),
            None => fields.value(&HOST).map(<[u8]>::to_vec),
        };
        if forwarded_for == ForwardedFor::Full {
            fields.insert(&X_FORWARDED_FOR, self.x_forwarded_for(peer));
            fields.insert(&FORWARDED, self.forwarded(peer, host.as_deref(), proto));
        } else {
            self.add_reduced(peer, fields, (host.as_deref(), proto), forwarded_for);
        }
        fields.insert(&X_FORWARDED_PROTO, proto);
        insert(fields, &X_FORWARDED_HOST, host.as_deref());
        // Only a trusted proxy can have set these fields.
        for (name, value) in [(X_FORWARDED_SCHEME, proto), (X_FORWARDED_SSL, ssl)] {
            if self.trusted && fields.has(&name) {
                fields.insert(&name, value);
            }
        }
    }

    /// Adds `X-Forwarded-For` and `Forwarded` with a reduced client address, and removes all other fields with client
    /// addresses. Hops before the client are left out, because the client may have written them. Trusted proxies keep
    /// their addresses.
    fn add_reduced(
        &self,
        peer: &Peer,
        fields: &mut FieldSection,
        (host, proto): (Option<&[u8]>, &str),
        forwarded_for: ForwardedFor,
    ) {
        remove_client_addresses(fields);
        let mut hops = self.nodes.iter().copied().chain([Some(peer.address.into())]);
        let client = hops.nth(self.index.unwrap_or(self.nodes.len())).flatten();
        let client = client.and_then(|client| forwarded_for.reduce(client));
        let hops: Vec<Option<Hop>> = std::iter::once(client).chain(hops).collect();
        let known: Vec<String> = hops.iter().flatten().map(ToString::to_string).collect();
        let list = (!known.is_empty()).then(|| known.join(", "));
        insert(fields, &X_FORWARDED_FOR, list.as_deref().map(str::as_bytes));
        let quoted = hops.iter().map(|node| node.map_or_else(unknown, Hop::quoted));
        let elements: Vec<String> = quoted.map(|node| format!("for={node}")).collect();
        let mut forwarded = elements.join(", ").into_bytes();
        forwarded.extend_from_slice(b";host=\"");
        end_element(&mut forwarded, host, proto);
        fields.insert(&FORWARDED, forwarded);
    }

    fn x_forwarded_for(&self, peer: &Peer) -> String {
        let mut list = String::new();
        for node in &self.nodes {
            list.push_str(&node.map_or_else(unknown, |node| node.to_string()));
            list.push_str(", ");
        }
        list.push_str(&peer.value);
        list
    }

    /// Only the last element has scheme and host, so that every reader finds exactly one of each.
    fn forwarded(&self, peer: &Peer, host: Option<&[u8]>, proto: &str) -> Vec<u8> {
        let mut list = Vec::with_capacity(peer.element.len() + 64);
        for node in &self.nodes {
            list.extend_from_slice(b"for=");
            list.extend_from_slice(node.map_or_else(unknown, Hop::quoted).as_bytes());
            list.extend_from_slice(b", ");
        }
        list.extend_from_slice(&peer.element);
        end_element(&mut list, host, proto);
        list
    }
}

/// Adds host and scheme to an element that ends with `;host="`.
fn end_element(list: &mut Vec<u8>, host: Option<&[u8]>, proto: &str) {
    // A valid host has no character that needs escaping in a quoted string.
    list.extend_from_slice(host.unwrap_or_default());
    list.extend_from_slice(b"\";proto=");
    list.extend_from_slice(proto.as_bytes());
}

fn unknown() -> String {
    "unknown".to_owned()
}

/// Sets a field, or removes the received field if there is no value.
fn insert(fields: &mut FieldSection, name: &HeaderName, value: Option<&[u8]>) {
    match value {
        Some(value) => fields.insert(name, value),
        None => drop(fields.remove(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PEER: &str = "10.0.0.1";

    fn map(fields: &[(&str, &str)]) -> FieldSection {
        FieldSection::from_lines(fields)
    }

    /// Determines the client with 10.0.0.0/8 as trusted proxies.
    fn trusts(address: IpAddr) -> bool {
        matches!(address, IpAddr::V4(address) if address.octets()[0] == 10)
    }

    fn of(peer: &str, fields: &[(&'static str, &str)]) -> Client {
        let peer = Peer::new(peer.parse().expect("an address"), false);
        Client::of(&peer, &map(fields), trusts)
    }

    fn address(fields: &[(&'static str, &str)]) -> String {
        of(PEER, fields).address.to_string()
    }

    #[test]
    fn the_client_is_the_first_hop_from_the_right_that_is_not_a_trusted_proxy() {
        for (list, expected) in [
            ("203.0.113.9", "203.0.113.9"),
            ("6.6.6.6, 203.0.113.9", "203.0.113.9"),
            ("6.6.6.6, 203.0.113.9, 10.1.1.1", "203.0.113.9"),
            ("203.0.113.9,10.1.1.1 ,10.2.2.2", "203.0.113.9"),
            ("10.3.3.3, 10.1.1.1", "10.3.3.3"),
            ("203.0.113.9:4711", "203.0.113.9"),
            ("[2001:db8::1]:99", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("::ffff:203.0.113.9", "203.0.113.9"),
            ("203.0.113.9, ::ffff:10.1.1.1", "203.0.113.9"),
            ("203.0.113.9, ", "203.0.113.9"),
            ("203.0.113.9, 10.1.1.1:80", "203.0.113.9"),
            // Unreadable hops: the client is the hop that reported them.
            ("", PEER),
            (",", PEER),
            ("unknown", PEER),
            ("203.0.113.9, unknown", PEER),
            ("203.0.113.9, x, 10.1.1.1", "10.1.1.1"),
            ("203.0.113.9 203.0.113.8", PEER),
        ] {
            assert_eq!(address(&[("x-forwarded-for", list)]), expected, "{list}");
        }
        let lines = [("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "203.0.113.9")];
        assert_eq!(address(&lines), "203.0.113.9", "several fields are one list");
    }

    #[test]
    fn forwarded_is_read_too_and_a_conflicting_family_hides_no_hop() {
        for (fields, expected) in [
            (vec![("forwarded", "for=203.0.113.9;proto=https")], "203.0.113.9"),
            (
                vec![("forwarded", "for=6.6.6.6, for=\"[2001:db8::1]:99\", for=10.1.1.1")],
                "2001:db8::1",
            ),
            (vec![("forwarded", "for=unknown")], PEER),
            (vec![("forwarded", "for=_hidden")], PEER),
            (vec![("forwarded", "for=\"203.0.113.9")], PEER),
            (vec![("forwarded", "proto=https")], PEER),
            (vec![("x-forwarded-for", "203.0.113.9"), ("forwarded", "proto=https")], "203.0.113.9"),
            (vec![("x-forwarded-for", "203.0.113.9"), ("forwarded", "for=_hidden")], PEER),
            (
                vec![("x-forwarded-for", "203.0.113.9"), ("forwarded", "for=203.0.113.9")],
                "203.0.113.9",
            ),
            (vec![("x-forwarded-for", "203.0.113.9"), ("forwarded", "for=6.6.6.6")], PEER),
            (vec![("x-forwarded-for", "6.6.6.6"), ("forwarded", "for=203.0.113.9")], PEER),
            (vec![("x-forwarded-for", "203.0.113.9"), ("forwarded", "for=\"")], PEER),
            (vec![("x-forwarded-for", ""), ("forwarded", "for=203.0.113.9")], "203.0.113.9"),
        ] {
            assert_eq!(address(&fields), expected, "{fields:?}");
        }
    }

    #[test]
    fn the_scheme_is_the_scheme_of_the_client() {
        for (fields, expected) in [
            (vec![], false),
            (vec![("x-forwarded-proto", "https")], true),
            (vec![("x-forwarded-proto", "HTTPS")], true),
            (vec![("x-forwarded-proto", "wss")], true),
            (vec![("x-forwarded-proto", "http")], false),
            (vec![("x-forwarded-proto", "ftp")], false),
            (vec![("x-forwarded-proto", "https,http")], true),
            (vec![("x-forwarded-proto", "http, https")], false),
            (vec![("x-forwarded-proto", "https"), ("x-forwarded-proto", "http")], true),
            (vec![("x-forwarded-for", "203.0.113.9"), ("x-forwarded-proto", "https, http")], true),
            (
                vec![
                    ("x-forwarded-for", "203.0.113.9, 10.1.1.1"),
                    ("x-forwarded-proto", "https, http"),
                ],
                true,
            ),
            // The first hop was sent by the client itself.
            (
                vec![
                    ("x-forwarded-for", "6.6.6.6, 203.0.113.9"),
                    ("x-forwarded-proto", "https, http"),
                ],
                false,
            ),
            (vec![("forwarded", "for=203.0.113.9;proto=https")], true),
            (vec![("forwarded", "proto=https")], true),
            (vec![("forwarded", "for=6.6.6.6;proto=https, for=203.0.113.9;proto=http")], false),
            (vec![("forwarded", "for=203.0.113.9;proto=https, for=10.1.1.1;proto=http")], true),
            (vec![("x-forwarded-ssl", "on")], true),
            (vec![("x-forwarded-ssl", "off")], false),
            (vec![("x-forwarded-scheme", "https")], true),
            (vec![("x-forwarded-proto", "http"), ("x-forwarded-ssl", "on")], false),
        ] {
            assert_eq!(of(PEER, &fields).secure, expected, "{fields:?}");
            assert!(!of("192.0.2.1", &fields).secure, "{fields:?}");
        }
        let by_tls = Peer::new(PEER.parse().expect("an address"), true);
        assert!(Client::of(&by_tls, &FieldSection::default(), trusts).secure);
        let unreadable = map(&[("x-forwarded-proto", "ftp")]);
        assert!(Client::of(&by_tls, &unreadable, trusts).secure);
        let plain = map(&[("x-forwarded-proto", "http")]);
        assert!(!Client::of(&by_tls, &plain, trusts).secure);
    }

    /// `X-Forwarded-For`, `-Proto`, `-Host`, `Forwarded` and `Via` as sent to the upstream.
    fn forwarded(peer: &str, fields: &[(&'static str, &str)]) -> [String; 5] {
        let mut headers = map(fields);
        headers.insert(&HOST, "shop.example");
        let peer = Peer::new(peer.parse().expect("an address"), false);
        let client = Client::of(&peer, &headers, trusts);
        client.remove_forged(&mut headers);
        client.add_forwarding(
            &peer,
            &mut headers,
            (&Via::new(1), Version::HTTP_11),
            ForwardedFor::Full,
        );
        ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded", "via"].map(
            |name| {
                let mut values = headers.texts(name);
                assert_eq!(values.len(), 1, "{name}");
                values.remove(0)
            },
        )
    }

    #[test]
    fn the_origin_gets_the_client_certificate_of_the_peer_or_from_a_trusted_proxy() {
        let sent = [("client-cert", ":Zm9yZ2Vk:"), ("client-cert-chain", ":Zm9yZ2Vk:")];
        let both = |peer: &str, shown: &[&[u8]]| {
            let mut headers = map(&sent);
            let peer = Peer::new(peer.parse().expect("an address"), true);
            peer.set_certificate(shown);
            let client = Client::of(&peer, &headers, trusts);
            client.remove_forged(&mut headers);
            client.add_forwarding(
                &peer,
                &mut headers,
                (&Via::new(1), Version::HTTP_11),
                ForwardedFor::Full,
            );
            ["client-cert", "client-cert-chain"].map(|name| headers.texts(name).first().cloned())
        };
        let some = |text: &str| Some(text.to_owned());
        let untrusted = "203.0.113.1";
        assert_eq!(both(untrusted, &[]), [None, None]);
        assert_eq!(both(untrusted, &[b"one"]), [some(":b25l:"), None]);
        let chain = [&b"one"[..], b"two", b"three!"];
        assert_eq!(both(untrusted, &chain), [some(":b25l:"), some(":dHdv:, :dGhyZWUh:")]);
        assert_eq!(both(PEER, &[b"one"]), [some(":Zm9yZ2Vk:"), some(":Zm9yZ2Vk:")]);
    }

    #[test]
    fn client_addresses_are_reduced_in_every_forwarding_field() {
        use ForwardedFor::{Network, None as Hidden};
        let reduced = |peer: &str, fields: &[(&str, &str)], forwarded_for| {
            let mut headers = map(fields);
            let peer = Peer::new(peer.parse().expect("an address"), true);
            let client = Client::of(&peer, &headers, trusts);
            client.remove_forged(&mut headers);
            let via = (&Via::new(1), Version::HTTP_11);
            client.add_forwarding(&peer, &mut headers, via, forwarded_for);
            let names = ["x-forwarded-for", "forwarded", "x-real-ip", "cf-connecting-ip"];
            let found = names.map(|name| headers.texts(name).concat());
            found.each_ref().map(|text| text.replace(";host=\"\";proto=https", "")).join(" | ")
        };
        let proxied = [
            ("x-forwarded-for", "6.6.6.6, 203.0.113.9:4711, 10.1.1.1"),
            ("x-forwarded-proto", "https"),
            ("x-real-ip", "203.0.113.9"),
            ("cf-connecting-ip", "203.0.113.9"),
        ];
        let hidden = [("x-forwarded-for", "203.0.113.9, unknown")];
        for (peer, fields, forwarded_for, expected) in [
            ("198.51.100.77", &[][..], Network, "198.51.100.0 | for=198.51.100.0 |  | "),
            ("198.51.100.77", &[], Hidden, " | for=unknown |  | "),
            ("2001:db8:1:2:3::4", &[], Network, "2001:db8:1:: | for=\"[2001:db8:1::]\" |  | "),
            ("198.51.100.77", &proxied, Network, "198.51.100.0 | for=198.51.100.0 |  | "),
            (
                PEER,
                &proxied,
                Network,
                "203.0.113.0, 10.1.1.1, 10.0.0.1 | for=203.0.113.0, for=10.1.1.1, for=10.0.0.1 |  | ",
            ),
            (
                PEER,
                &proxied,
                Hidden,
                "10.1.1.1, 10.0.0.1 | for=unknown, for=10.1.1.1, for=10.0.0.1 |  | ",
            ),
            (PEER, &hidden, Network, "10.0.0.0 | for=10.0.0.0 |  | "),
        ] {
            assert_eq!(reduced(peer, fields, forwarded_for), expected, "{peer} {fields:?}");
        }
    }

    #[test]
    fn forwarding_fields_count_only_from_a_trusted_proxy() {
        let fields = [
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "www.example"),
            ("forwarded", "for=203.0.113.9"),
            ("via", "1.1 edge"),
        ];
        assert_eq!(
            forwarded("192.0.2.1", &fields),
            [
                "192.0.2.1",
                "http",
                "shop.example",
                "for=192.0.2.1;host=\"shop.example\";proto=http",
                "1.1 edge, 1.1 consentry"
            ]
        );
        assert_eq!(
            forwarded(PEER, &fields),
            [
                "203.0.113.9, 10.0.0.1",
                "https",
                "www.example",
                "for=203.0.113.9, for=10.0.0.1;host=\"www.example\";proto=https",
                "1.1 edge, 1.1 consentry"
            ]
        );
        assert_eq!(forwarded("::ffff:192.0.2.1", &[])[0], "192.0.2.1");
        assert_eq!(
            forwarded("2001:db8::1", &[])[3],
            "for=\"[2001:db8::1]\";host=\"shop.example\";proto=http"
        );
    }

    #[test]
    fn a_missing_field_family_is_derived_from_the_other() {
        let by_forwarded =
            "for=\"[2001:db8::1]:99\";proto=https;host=www.example, for=unknown, for=10.1.1.1";
        let [list, proto, host, elements, _] = forwarded(PEER, &[("forwarded", by_forwarded)]);
        assert_eq!(list, "[2001:db8::1]:99, unknown, 10.1.1.1, 10.0.0.1");
        assert_eq!((proto.as_str(), host.as_str()), ("https", "www.example"));
        assert_eq!(
            elements,
            "for=\"[2001:db8::1]:99\", for=unknown, for=10.1.1.1, for=10.0.0.1;host=\"www.example\";proto=https"
        );
        let [list, proto, host, elements, _] = forwarded(
            PEER,
            &[
                ("x-forwarded-for", "garbage, 203.0.113.9:1"),
                ("x-forwarded-proto", "https,http"),
                ("x-forwarded-host", "a;b"),
            ],
        );
        assert_eq!(list, "unknown, 203.0.113.9:1, 10.0.0.1");
        assert_eq!(
            (proto.as_str(), host.as_str()),
            ("http", "shop.example"),
            "an invalid host is ignored"
        );
        assert_eq!(
            elements,
            "for=unknown, for=\"203.0.113.9:1\", for=10.0.0.1;host=\"shop.example\";proto=http"
        );
    }

    #[test]
    fn only_the_last_hops_are_parsed() {
        let long = "a,".repeat(10_000) + "6.6.6.6, 203.0.113.9, 10.1.1.1";
        assert_eq!(address(&[("x-forwarded-for", &long)]), "203.0.113.9");
        let [list, _, _, elements, _] = forwarded(PEER, &[("x-forwarded-for", &long)]);
        assert!(list.len() < 512 && elements.len() < 1024, "{list} {elements}");
        let long = "for=a,".repeat(10_000) + "for=203.0.113.9;proto=https";
        let client = of(PEER, &[("forwarded", &long)]);
        assert_eq!((client.address.to_string().as_str(), client.secure), ("203.0.113.9", true));
    }

    proptest! {
        #[test]
        fn arbitrary_fields_give_one_client_and_consistent_families(
            list in "[ -~]{0,40}", elements in "[ -~]{0,40}", proto in "[ -~]{0,12}", host in "[ -~]{0,12}"
        ) {
            let fields = [
                ("x-forwarded-for", list.as_str()),
                ("forwarded", &elements),
                ("x-forwarded-proto", &proto),
                ("x-forwarded-host", &host),
            ];
            for peer in [PEER, "192.0.2.1"] {
                let [list, proto, host, elements, _] = forwarded(peer, &fields);
                prop_assert!(list.ends_with(peer));
                let written = FieldSection::from_lines(&[("forwarded", &elements)]);
                let written = Hops::of_forwarded(&written);
                let nodes: Vec<_> = written.nodes.iter().map(|node| node.map_or_else(unknown, |node| node.to_string())).collect();
                prop_assert_eq!(nodes.join(", "), list);
                prop_assert_eq!(written.is_secure(None), Some(proto == "https"));
                prop_assert_eq!(written.host(None), Some(host.as_str()));
            }
        }
    }
}
