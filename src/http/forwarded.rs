//! Parser for `Forwarded` (RFC 7239) and `X-Forwarded-*`: the earlier hops of a request.

use core::fmt;
use core::net::{IpAddr, SocketAddr};

use http::header::{FORWARDED, HeaderName};

use super::field_list::members;
use super::fields::Fields;
use super::parameters::split_value;

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(super) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(super) const X_FORWARDED_SCHEME: HeaderName = HeaderName::from_static("x-forwarded-scheme");
pub(super) const X_FORWARDED_SSL: HeaderName = HeaderName::from_static("x-forwarded-ssl");

/// Maximum number of hops read, from the right. Hops further left may come from the client.
const MAX_HOPS: usize = 32;

/// The address and port of a hop. Hidden and unreadable hops are `None` in `Hops` (RFC 7239 section
/// 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hop {
    pub(super) address: IpAddr,
    port: Option<u16>,
}

impl Hop {
    /// Parses `IP`, `IP:port`, `[v6]` and `[v6]:port`. IPv4-mapped IPv6 addresses are converted to
    /// IPv4.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim_matches(['"', ' ', '\t']);
        let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
        if let Some(address) = text.parse::<IpAddr>().ok().or_else(bracketed) {
            return Some(Self { address: address.to_canonical(), port: None });
        }
        // A port may be hidden too (RFC 7239 section 6.2).
        if let Some((node, port)) = text.rsplit_once(':')
            && port.starts_with('_')
        {
            return Self::parse(node).filter(|node| node.port.is_none());
        }
        let socket: SocketAddr = text.parse().ok()?;
        Some(Self { address: socket.ip().to_canonical(), port: Some(socket.port()) })
    }

    /// Formats the node as a value of `for=`.
    pub(super) fn quoted(self) -> String {
        match (self.address, self.port) {
            (IpAddr::V4(address), None) => address.to_string(),
            (IpAddr::V6(address), None) => format!("\"[{address}]\""),
            (_, Some(_)) => format!("\"{self}\""),
        }
    }
}

impl From<IpAddr> for Hop {
    fn from(address: IpAddr) -> Self {
        Self { address, port: None }
    }
}

/// The format of `X-Forwarded-For`.
impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            None => self.address.fmt(f),
            Some(port) => SocketAddr::new(self.address, port).fmt(f),
        }
    }
}

/// The earlier hops of a request from one family of fields, the client first.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Hops {
    pub(super) nodes: Vec<Option<Hop>>,
    /// Whether each hop was reached over TLS.
    secure: Vec<Option<bool>>,
    hosts: Vec<Option<String>>,
}

impl Hops {
    /// Parses `X-Forwarded-For`, `-Proto` and `-Host`.
    pub(super) fn of_x_forwarded(fields: &impl Fields) -> Self {
        let mut secure = last(list(fields, &X_FORWARDED_PROTO).map(is_secure));
        if secure.is_empty() {
            let scheme = list(fields, &X_FORWARDED_SCHEME).map(is_secure);
            let ssl =
                list(fields, &X_FORWARDED_SSL).map(|word| Some(word.eq_ignore_ascii_case("on")));
            secure.extend(scheme.chain(ssl).next());
        }
        Self {
            nodes: last(list(fields, &X_FORWARDED_FOR).map(Hop::parse)),
            secure,
            hosts: last(list(fields, &X_FORWARDED_HOST).map(|host| Some(host.to_owned()))),
        }
    }

    /// Parses `Forwarded`. A malformed value counts as one unreadable hop, because its element
    /// boundaries are unknown.
    pub(super) fn of_forwarded(fields: &impl Fields) -> Self {
        let mut hops = Self::default();
        if !fields.has(&FORWARDED) {
            return hops;
        }
        let values: Vec<&[u8]> = fields.values(&FORWARDED).collect();
        let text = values.join(&b","[..]);
        let read = core::str::from_utf8(&text).ok().and_then(|text| hops.read_elements(text));
        if read.is_none() {
            return Self { nodes: vec![None], ..Self::default() };
        }
        Self {
            nodes: last(hops.nodes.into_iter()),
            secure: last(hops.secure.into_iter()),
            hosts: last(hops.hosts.into_iter()),
        }
    }

    /// Parses a list of elements (RFC 7239 section 4); `None` if it is malformed.
    fn read_elements(&mut self, mut rest: &str) -> Option<()> {
        loop {
            let (mut node, mut secure, mut host, mut is_empty) = (None, None, None, true);
            loop {
                rest = rest.trim_start_matches([' ', '\t']);
                let end = rest.find(['=', ',', ';', ' ', '\t']).unwrap_or(rest.len());
                let (name, after) = rest.split_at_checked(end)?;
                if !name.is_empty() {
                    let (value, after) = split_value(after.strip_prefix('=')?)?;
                    is_empty = false;
                    match name.to_ascii_lowercase().as_str() {
                        "for" => node = Some(Hop::parse(&value)),
                        "proto" => secure = is_secure(&value),
                        "host" => host = Some(value),
                        _ => {}
                    }
                    rest = after;
                }
                rest = rest.trim_start_matches([' ', '\t']);
                match rest.strip_prefix(';') {
                    Some(after) => rest = after,
                    None => break,
                }
            }
            // Empty list members are not elements (RFC 9110 section 5.6.1).
            if !is_empty {
                self.nodes.extend(node);
                self.secure.push(secure);
                self.hosts.push(host);
            }
            if rest.is_empty() {
                return Some(());
            }
            rest = rest.strip_prefix(',')?;
        }
    }

    /// Finds the client among the hops reported by trusted proxies.
    ///
    /// The hops are read from the right, up to the first unreadable one. The client is the first
    /// hop that is not a trusted proxy, or else the last hop read. `None` if the nearest hop is
    /// unreadable or missing.
    pub(super) fn client(&self, trusts: impl Fn(IpAddr) -> bool) -> Option<(usize, IpAddr)> {
        let mut client = None;
        for (index, node) in self.nodes.iter().enumerate().rev() {
            let Some(Hop { address, .. }) = node else { break };
            client = Some((index, *address));
            if !trusts(*address) {
                break;
            }
        }
        client
    }

    /// Whether the client uses TLS, if known.
    pub(super) fn is_secure(&self, client: Option<usize>) -> Option<bool> {
        self.at_client(&self.secure, client).copied()
    }

    /// The host that the client requested, if known.
    pub(super) fn host(&self, client: Option<usize>) -> Option<&str> {
        self.at_client(&self.hosts, client).map(String::as_str)
    }

    /// Returns the client's member of a list. A list with one member per hop is indexed by hop; in
    /// any other list, the first member is the client's.
    fn at_client<'a, T>(&self, list: &'a [Option<T>], client: Option<usize>) -> Option<&'a T> {
        let own =
            client.filter(|_| list.len() == self.nodes.len()).and_then(|at| list.get(at)?.as_ref());
        own.or_else(|| list.iter().flatten().next())
    }
}

/// Whether the nearest proxy reports that its client uses TLS.
#[cfg(feature = "ext-proc")]
pub(crate) fn forwarded_scheme_is_secure(fields: &impl Fields) -> Option<bool> {
    Hops::of_x_forwarded(fields).is_secure(None)
}

/// Keeps the members of the last hops.
fn last<T>(members: impl DoubleEndedIterator<Item = T>) -> Vec<T> {
    let mut last: Vec<T> = members.rev().take(MAX_HOPS).collect();
    last.reverse();
    last
}

/// The members of a list as text.
fn list<'a, F: Fields>(
    fields: &'a F,
    name: &HeaderName,
) -> impl DoubleEndedIterator<Item = &'a str> + use<'a, F> {
    members(fields, name).map(|member| core::str::from_utf8(member).unwrap_or("unknown"))
}

/// Whether a protocol uses TLS; `None` if it is neither HTTP nor WebSocket.
fn is_secure(proto: &str) -> Option<bool> {
    let is = |known: &&str| proto.eq_ignore_ascii_case(known);
    if ["https", "wss"].iter().any(is) {
        return Some(true);
    }
    ["http", "ws"].iter().any(is).then_some(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue};

    fn node(text: &str) -> Option<String> {
        Hop::parse(text).map(|node| node.to_string())
    }

    fn of(name: HeaderName, values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn nodes_are_parsed_in_every_common_form_and_written_canonically() {
        for (text, expected, quoted) in [
            ("192.0.2.1", "192.0.2.1", "192.0.2.1"),
            ("192.0.2.1:4711", "192.0.2.1:4711", "\"192.0.2.1:4711\""),
            ("\"192.0.2.1:4711\"", "192.0.2.1:4711", "\"192.0.2.1:4711\""),
            ("2001:DB8::1", "2001:db8::1", "\"[2001:db8::1]\""),
            ("[2001:db8:0::1]", "2001:db8::1", "\"[2001:db8::1]\""),
            ("[2001:db8::1]:99", "[2001:db8::1]:99", "\"[2001:db8::1]:99\""),
            ("::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1"),
            ("[::ffff:c000:201]:80", "192.0.2.1:80", "\"192.0.2.1:80\""),
            ("192.0.2.1:_port", "192.0.2.1", "192.0.2.1"),
            ("[2001:db8::1]:_x", "2001:db8::1", "\"[2001:db8::1]\""),
        ] {
            assert_eq!(node(text).as_deref(), Some(expected), "{text}");
            assert_eq!(Hop::parse(text).map(Hop::quoted).as_deref(), Some(quoted), "{text}");
        }
        for text in [
            "",
            "unknown",
            "_hidden",
            "192.0.2",
            "192.0.2.256",
            "192.0.2.01",
            "192.0.2.1:",
            "192.0.2.1:x",
            "192.0.2.1:99999",
            "[192.0.2.1",
            "2001:db8::1]",
            "shop.example",
            "192.0.2.1 192.0.2.2",
            "-",
            "192.0.2.1:80:_x",
        ] {
            assert_eq!(node(text), None, "{text}");
        }
    }

    #[test]
    fn forwarded_elements_are_parsed_across_fields() {
        let headers = of(
            FORWARDED,
            &[
                "For=\"[2001:db8::1]:99\";Proto=HTTPS ; host=\"a\\\"b\", for=unknown;by=_x",
                ",  for=192.0.2.1;proto=http;",
            ],
        );
        let hops = Hops::of_forwarded(&headers);
        let nodes: Vec<_> =
            hops.nodes.iter().map(|node| node.map(|node| node.to_string())).collect();
        assert_eq!(
            nodes,
            [Some("[2001:db8::1]:99".to_owned()), None, Some("192.0.2.1".to_owned())]
        );
        assert_eq!(hops.secure, [Some(true), None, Some(false)]);
        assert_eq!(hops.hosts, [Some("a\"b".to_owned()), None, None]);
        assert_eq!(Hops::of_forwarded(&HeaderMap::new()), Hops::default());
        assert_eq!(Hops::of_forwarded(&of(FORWARDED, &["", " , ;"])), Hops::default());
    }

    #[test]
    fn a_malformed_forwarded_is_one_unreadable_hop() {
        for value in [
            "for=\"192.0.2.9, for=192.0.2.1",
            "for=192.0.2.9, x=\", for=\"[2001:db8::1]\"",
            "for",
            "for=",
            "for=a b",
            "for==a",
            "192.0.2.1",
            "for=192.0.2.1 for=192.0.2.2",
            "for=\"a\\",
        ] {
            let unreadable = Hops { nodes: vec![None], ..Hops::default() };
            assert_eq!(Hops::of_forwarded(&of(FORWARDED, &[value])), unreadable, "{value}");
        }
    }
}
