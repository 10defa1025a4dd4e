//! The differences between consentry's HTTP/1.1 parsers and others that are not faults of consentry, each with its reason.

use http::Uri;

use crate::message::{Field, Message};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    Hyper,
    H11,
}

use Peer::{H11, Hyper};

/// A message that consentry accepts and a peer rejects.
struct Stricter {
    peer: Peer,
    /// Whether the difference applies to a message, given as parsed and as bytes.
    applies: fn(&Message, &[u8]) -> bool,
}

const fn rejects(peer: Peer, applies: fn(&Message, &[u8]) -> bool) -> Stricter {
    Stricter { peer, applies }
}

/// Messages that consentry accepts on purpose and a peer rejects.
const STRICTER: &[Stricter] = &[
    // RFC 9112 section 2.2: a server ignores empty lines before the request line.
    rejects(H11, |_, bytes| matches!(bytes.first(), Some(b'\r' | b'\n'))),
    // RFC 9110 section 2.5: a higher minor version is parsed as the highest known one.
    rejects(Hyper, |_, bytes| {
        let line = bytes.trim_ascii_start().split(|byte| *byte == b'\n').next().unwrap_or_default();
        matches!(
            line.trim_ascii_end(),
            [.., b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9']
        )
    }),
    // RFC 9112 section 3 and RFC 3986 section 2: bytes that a URI cannot have are forwarded percent-encoded or as received.
    // Its form is checked later, when the site is chosen.
    rejects(Hyper, |message, _| Uri::try_from(&message.target[..]).is_err()),
    rejects(Hyper, |message, _| std::str::from_utf8(&message.target).is_err()),
    rejects(H11, |message, _| !message.target.is_ascii()),
    // RFC 9112 section 3.2: `Host` is checked later, when the site is chosen.
    rejects(H11, |message, _| match message.values("host").count() {
        0 => !message.is_http10 && !message.target.is_empty(),
        count => count > 1,
    }),
    // RFC 9110 section 5.5: control characters within a value may be kept.
    rejects(Hyper, |message, _| {
        has_value_with(message, |byte| byte.is_ascii_control() && byte != b'\t')
    }),
    rejects(H11, |message, _| has_value_with(message, |byte| matches!(byte, 0x0b | 0x0c))),
    // RFC 9110 section 8.6: equal values of a list count as one.
    rejects(Hyper, |message, _| {
        message.values("content-length").any(|value| value.contains(&b','))
    }),
    // The same section: values are numbers, and `3` and `03` are equal. h11 compares digits, of which it accepts 20.
    rejects(H11, |message, _| {
        let lengths =
            message.values("content-length").flat_map(|value| value.split(|byte| *byte == b','));
        let lengths: Vec<&[u8]> = lengths.map(<[u8]>::trim_ascii).collect();
        lengths.iter().any(|length| *length != lengths[0] || length.len() > 20)
    }),
    // RFC 9110 section 5.6.1.2: empty list elements are ignored. Section 5.3: several lines are one list.
    rejects(Hyper, |message, _| is_coding_list(message)),
    rejects(H11, |message, _| is_coding_list(message)),
    // RFC 9112 section 6.1: a response of HTTP/1.0 with a transfer coding is decoded, and its connection is closed.
    rejects(Hyper, |message, _| {
        message.is_http10 && message.values("transfer-encoding").next().is_some()
    }),
    // RFC 9110 section 6.5.1: framing fields in trailers have no effect. h11 validates them.
    rejects(H11, |message, _| message.trailers.iter().any(|(name, _)| is_framing(name))),
];

/// Whether the peer is known to reject a message that consentry accepts.
pub fn is_stricter(peer: Peer, message: &Message, bytes: &[u8]) -> bool {
    STRICTER.iter().any(|known| known.peer == peer && (known.applies)(message, bytes))
}

fn has_value_with(message: &Message, wanted: fn(u8) -> bool) -> bool {
    let mut fields = message.fields.iter().chain(&message.trailers);
    fields.any(|(_, value)| value.iter().any(|byte| wanted(*byte)))
}

/// Whether the transfer coding is anything but one line with one word. Consentry accepts it only with `chunked`, once.
fn is_coding_list(message: &Message) -> bool {
    let mut lines = message.values("transfer-encoding");
    lines.next().is_some_and(|value| !value.eq_ignore_ascii_case(b"chunked"))
        || lines.next().is_some()
}

/// Whether the peer is known to frame a message in another way than RFC 9112 does.
pub fn is_misframed(peer: Peer, message: &Message) -> bool {
    // RFC 9110 section 5.6.1.2: empty list elements are ignored. hyper's client looks for `chunked` after the last comma.
    let coding = message.values("transfer-encoding").last().unwrap_or_default();
    let is_response = message.target.is_empty();
    peer == Hyper && is_response && coding.trim_ascii_end().ends_with(b",")
}

/// A message parsed by consentry, in the form of the peer's parser.
pub fn as_parsed_by(peer: Peer, mut message: Message) -> Message {
    comparable(peer, &mut message.fields);
    comparable(peer, &mut message.trailers);
    if peer == Hyper
        && let Ok(uri) = Uri::try_from(&message.target[..])
    {
        // A `Uri` has no fragment, and always has a path.
        message.target = uri.to_string().into_bytes();
    }
    message
}

/// Removes the fields that a peer rewrites. For hyper, also removes order and case, which its header map does not keep.
fn comparable(peer: Peer, fields: &mut Vec<Field>) {
    // RFC 9112 section 6.3: hyper removes a length that the transfer coding overrides. h11 merges equal lengths and
    // lowercases the coding. The bodies are compared instead.
    fields.retain(|(name, _)| !is_framing(name));
    if peer == Hyper {
        fields.iter_mut().for_each(|(name, _)| name.make_ascii_lowercase());
        fields.sort_by(|one, other| one.0.cmp(&other.0));
    }
}

fn is_framing(name: &[u8]) -> bool {
    let fields = ["content-length", "transfer-encoding"];
    fields.iter().any(|field| name.eq_ignore_ascii_case(field.as_bytes()))
}
