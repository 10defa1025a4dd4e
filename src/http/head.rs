//! Message head parser: start line and field lines as received bytes (RFC 9112 sections 2 to 5).
//!
//! A head is parsed in place, without copies. Some heads are rejected by `httparse` but accepted by
//! browsers and other proxies. Only those are parsed in a repaired copy of the same length.

use std::borrow::Cow;
use std::mem::MaybeUninit;

use httparse::{Header, ParserConfig, Status};
use thiserror::Error;

/// Number of field lines that fit on the stack.
const STACK_FIELDS: usize = 128;

/// A field line: the name as received, and the value without surrounding whitespace.
pub(crate) type FieldLine<'a> = Header<'a>;

/// HTTP/1 versions with different framing. A higher minor version counts as 1.1 (RFC 9110 section
/// 2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    Http10,
    Http11,
}

/// The head of a request.
#[derive(Debug)]
pub(crate) struct RequestHead<'a> {
    /// A token, case-sensitive.
    pub(crate) method: &'a str,
    /// The request target as received, without whitespace and control characters. Bytes above 0x7f
    /// are possible.
    pub(crate) target: &'a [u8],
    pub(crate) version: Version,
    pub(crate) fields: &'a [FieldLine<'a>],
}

impl RequestHead<'_> {
    /// The target with all bytes percent-encoded that are invalid in a URI (RFC 3986 section 2).
    /// Clients send some of them, and servers treat them as their encoded form.
    pub(crate) fn target_text(&self) -> Cow<'_, str> {
        let refused = |byte: &u8| !byte.is_ascii_graphic() || b"\"<>^`".contains(byte);
        match std::str::from_utf8(self.target) {
            Ok(text) if !self.target.iter().any(refused) => Cow::Borrowed(text),
            _ => {
                let mut text = String::with_capacity(self.target.len() + 16);
                for byte in self.target {
                    match refused(byte) {
                        true => text.push_str(&format!("%{byte:02X}")),
                        false => text.push(char::from(*byte)),
                    }
                }
                Cow::Owned(text)
            }
        }
    }
}

/// The head of a response.
#[derive(Debug)]
pub(crate) struct ResponseHead<'a> {
    /// From 100 to 999.
    pub(crate) status: u16,
    /// The reason phrase. Empty if it is missing or not printable ASCII.
    pub(crate) reason: &'a str,
    pub(crate) version: Version,
    pub(crate) fields: &'a [FieldLine<'a>],
}

/// Why bytes are not a valid head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum HeadError {
    #[error("malformed message head")]
    Malformed,
    #[error("too many header fields")]
    TooManyFields,
    /// The major version is not 1.
    #[error("HTTP version not supported")]
    Version,
}

/// The progress of a parsed head.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed<T> {
    /// The result, and the length of the head in bytes, including leading empty lines.
    Complete(T, usize),
    /// More bytes are needed.
    Partial,
}

/// Parses the request head at the start of `bytes` and passes it to `take`.
///
/// # Errors
/// If `bytes` does not start with a head of at most `max_fields` field lines.
pub(crate) fn request<T>(
    bytes: &[u8],
    max_fields: usize,
    take: impl FnOnce(&RequestHead<'_>) -> T,
) -> Result<Parsed<T>, HeadError> {
    let (mut stack, mut heap) = storage(max_fields);
    let lines = heap.as_deref_mut().unwrap_or_else(|| within(&mut stack, max_fields));
    let mut head = httparse::Request::new(&mut []);
    match parsed(head.parse_with_uninit_headers(bytes, lines)) {
        Ok(Parsed::Complete((), length)) => {
            let head = RequestHead {
                method: head.method.unwrap_or_default(),
                target: head.path.unwrap_or_default().as_bytes(),
                version: version(head.version),
                fields: head.headers,
            };
            Ok(Parsed::Complete(take(&head), length))
        }
        Ok(Parsed::Partial) => Ok(Parsed::Partial),
        Err(HeadError::Malformed) => repaired_request(bytes, max_fields, take),
        Err(error) => Err(error),
    }
}

/// Parses the response head at the start of `bytes` and passes it to `take`.
///
/// # Errors
/// If `bytes` does not start with a head of at most `max_fields` field lines.
pub(crate) fn response<T>(
    bytes: &[u8],
    max_fields: usize,
    take: impl FnOnce(&ResponseHead<'_>) -> T,
) -> Result<Parsed<T>, HeadError> {
    let (mut stack, mut heap) = storage(max_fields);
    let lines = heap.as_deref_mut().unwrap_or_else(|| within(&mut stack, max_fields));
    let mut head = httparse::Response::new(&mut []);
    let config = ParserConfig::default();
    match parsed(config.parse_response_with_uninit_headers(&mut head, bytes, lines)) {
        Ok(Parsed::Complete((), length)) => {
            let head = ResponseHead {
                status: status(head.code)?,
                reason: head.reason.unwrap_or_default(),
                version: version(head.version),
                fields: head.headers,
            };
            Ok(Parsed::Complete(take(&head), length))
        }
        Ok(Parsed::Partial) => Ok(Parsed::Partial),
        Err(HeadError::Malformed) => repaired_response(bytes, max_fields, take),
        Err(error) => Err(error),
    }
}

/// Parses a trailer section with its final empty line, and passes its field lines to `take` (RFC
/// 9112 section 7.1.2).
///
/// # Errors
/// If the bytes are not a complete section with at most `max_fields` field lines.
pub(crate) fn trailers<T>(
    bytes: &[u8],
    max_fields: usize,
    take: impl FnOnce(&[FieldLine<'_>]) -> T,
) -> Result<T, HeadError> {
    let mut lines = vec![httparse::EMPTY_HEADER; max_fields];
    match httparse::parse_headers(bytes, &mut lines) {
        Ok(Status::Complete((length, fields))) if length == bytes.len() => Ok(take(fields)),
        Err(httparse::Error::TooManyHeaders) => Err(HeadError::TooManyFields),
        _ => Err(HeadError::Malformed),
    }
}

/// Converts a result of `httparse`.
fn parsed(status: httparse::Result<usize>) -> Result<Parsed<()>, HeadError> {
    match status {
        Ok(Status::Complete(length)) => Ok(Parsed::Complete((), length)),
        Ok(Status::Partial) => Ok(Parsed::Partial),
        Err(httparse::Error::TooManyHeaders) => Err(HeadError::TooManyFields),
        Err(_) => Err(HeadError::Malformed),
    }
}

type Storage<'a> = [MaybeUninit<FieldLine<'a>>];

fn storage<'a>(
    max_fields: usize,
) -> ([MaybeUninit<FieldLine<'a>>; STACK_FIELDS], Option<Box<Storage<'a>>>) {
    let heap = (max_fields > STACK_FIELDS).then(|| vec![MaybeUninit::uninit(); max_fields].into());
    ([const { MaybeUninit::uninit() }; STACK_FIELDS], heap)
}

fn within<'s, 'a>(stack: &'s mut Storage<'a>, max_fields: usize) -> &'s mut Storage<'a> {
    stack.get_mut(..max_fields).unwrap_or_default()
}

fn version(minor: Option<u8>) -> Version {
    if minor == Some(0) { Version::Http10 } else { Version::Http11 }
}

fn status(code: Option<u16>) -> Result<u16, HeadError> {
    code.filter(|code| *code >= 100).ok_or(HeadError::Malformed)
}

/// Parses a request head that `httparse` rejects.
///
/// Browsers and other proxies send and accept control characters in values, bytes above 0x7f in
/// targets, and minor versions above 1. All of these are replaced by ordinary characters in a copy.
/// After parsing, target and values are read from the received bytes.
fn repaired_request<T>(
    bytes: &[u8],
    max_fields: usize,
    take: impl FnOnce(&RequestHead<'_>) -> T,
) -> Result<Parsed<T>, HeadError> {
    let mut masked = bytes.to_vec();
    let lines_at = mask_request_line(&mut masked)?;
    mask_values(masked.get_mut(lines_at..).unwrap_or_default(), |byte| {
        // Some parsers treat vertical tab and form feed as whitespace.
        matches!(byte, 0x01..=0x08 | 0x0e..=0x1f | 0x7f)
    });
    let mut lines = vec![httparse::EMPTY_HEADER; max_fields];
    let mut head = httparse::Request::new(&mut lines);
    let Parsed::Complete((), length) = parsed(head.parse(&masked))? else {
        return Ok(Parsed::Partial);
    };
    let fields = received_values(head.headers, &masked, bytes);
    let target = head.path.unwrap_or_default().as_bytes();
    let head = RequestHead {
        method: head.method.unwrap_or_default(),
        target: received(target, &masked, bytes),
        version: version(head.version),
        fields: &fields,
    };
    Ok(Parsed::Complete(take(&head), length))
}

/// Masks the accepted bytes of a request line. Returns the position of the next line.
fn mask_request_line(bytes: &mut [u8]) -> Result<usize, HeadError> {
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(bytes.len());
    let line = bytes.get_mut(start..).unwrap_or_default();
    let end = memchr::memchr(b'\n', line);
    let line = line.get_mut(..end.unwrap_or(line.len())).unwrap_or_default();
    let Some(space) = memchr::memchr(b' ', line) else { return Ok(bytes.len()) };
    let after = line.get_mut(space + 1..).unwrap_or_default();
    let target_end = memchr::memchr(b' ', after).unwrap_or(after.len());
    for byte in after.iter_mut().take(target_end) {
        if !byte.is_ascii() {
            *byte = b'x';
        }
    }
    let version = after.get_mut(target_end..).unwrap_or_default();
    let version = match version {
        [b' ', version @ .., b'\r'] | [b' ', version @ ..] => version,
        _ => return Ok(bytes.len()),
    };
    match version {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ b'2'..=b'9'] => *minor = b'1',
        [b'H', b'T', b'T', b'P', b'/', b'2'..=b'9', b'.', b'0'..=b'9'] if end.is_some() => {
            return Err(HeadError::Version);
        }
        _ => {}
    }
    Ok(end.map_or(bytes.len(), |end| start + end + 1))
}

/// Parses a response head with control characters in field values, which are masked in a copy.
/// After parsing, the values are read from the received bytes.
fn repaired_response<T>(
    bytes: &[u8],
    max_fields: usize,
    take: impl FnOnce(&ResponseHead<'_>) -> T,
) -> Result<Parsed<T>, HeadError> {
    let mut masked = bytes.to_vec();
    let lines_at = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1);
    mask_values(
        masked.get_mut(lines_at..).unwrap_or_default(),
        |byte| matches!(byte, 0x01..=0x08 | 0x0b | 0x0c | 0x0e..=0x1f | 0x7f),
    );
    let mut lines = vec![httparse::EMPTY_HEADER; max_fields];
    let mut head = httparse::Response::new(&mut lines);
    let Parsed::Complete((), length) = parsed(head.parse(&masked))? else {
        return Ok(Parsed::Partial);
    };
    let fields = received_values(head.headers, &masked, bytes);
    let head = ResponseHead {
        status: status(head.code)?,
        reason: head.reason.unwrap_or_default(),
        version: version(head.version),
        fields: &fields,
    };
    Ok(Parsed::Complete(take(&head), length))
}

/// Masks bytes after the colon of each line.
fn mask_values(lines: &mut [u8], masked: impl Fn(u8) -> bool) {
    for line in lines.split_mut(|byte| *byte == b'\n') {
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        for byte in line.iter_mut().skip(colon) {
            if masked(*byte) {
                *byte = b'x';
            }
        }
    }
}

/// The field lines with the received names and values.
fn received_values<'a>(
    fields: &[FieldLine<'a>],
    masked: &[u8],
    bytes: &'a [u8],
) -> Vec<FieldLine<'a>> {
    let field = |field: &FieldLine<'a>| FieldLine {
        name: std::str::from_utf8(received(field.name.as_bytes(), masked, bytes))
            .unwrap_or_default(),
        value: received(field.value, masked, bytes),
    };
    fields.iter().map(field).collect()
}

/// Returns the bytes at the position of `part` in `masked`.
fn received<'a>(part: &[u8], masked: &[u8], bytes: &'a [u8]) -> &'a [u8] {
    let at = part.as_ptr().addr().wrapping_sub(masked.as_ptr().addr());
    bytes.get(at..at.saturating_add(part.len())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(head: &RequestHead<'_>) -> String {
        let fields = head
            .fields
            .iter()
            .map(|field| format!(" {}={}", field.name, field.value.escape_ascii()));
        let fields: String = fields.collect();
        format!("{} {} {:?}{fields}", head.method, head.target.escape_ascii(), head.version)
    }

    fn read(bytes: &[u8]) -> Result<Parsed<String>, HeadError> {
        request(bytes, 4, shown)
    }

    fn read_response(bytes: &[u8]) -> Result<Parsed<String>, HeadError> {
        response(bytes, 4, |head| {
            let fields = head
                .fields
                .iter()
                .map(|field| format!(" {}={}", field.name, field.value.escape_ascii()));
            let fields: String = fields.collect();
            format!("{} {} {:?}{fields}", head.status, head.reason, head.version)
        })
    }

    #[test]
    fn request_heads_are_parsed_as_received() {
        let cases: &[(&[u8], &str)] = &[
            (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / Http11 Host=a"),
            (b"\r\n\nGET / HTTP/1.0\n\n", "GET / Http10"),
            (b"M-SEARCH * HTTP/1.1\r\nX-a:\t b c \r\ny:\r\n\r\n", "M-SEARCH * Http11 X-a=b c y="),
            (b"GET /\"<>^`{|}[]\\ HTTP/1.1\r\n\r\n", "GET /\\\"<>^`{|}[]\\\\ Http11"),
            (b"GET /\xff\xc3\xa9 HTTP/1.1\r\nA: \xe9\r\n\r\n", r"GET /\xff\xc3\xa9 Http11 A=\xe9"),
            (b"GET /\xff HTTP/1.1\r\nA: b\x7f\r\n\r\n", r"GET /\xff Http11 A=b\x7f"),
            (
                b"GET / HTTP/1.1\r\nCookie: a=\x01\x1f; b\r\n\r\n",
                r"GET / Http11 Cookie=a=\x01\x1f; b",
            ),
            (b"GET / HTTP/1.2\r\nA: b\r\n\r\n", "GET / Http11 A=b"),
            (b"GET / HTTP/1.9\n\n", "GET / Http11"),
        ];
        for (bytes, expected) in cases {
            let head = read(bytes);
            assert_eq!(head, Ok(Parsed::Complete((*expected).to_owned(), bytes.len())));
        }
    }

    #[test]
    fn malformed_request_heads_are_rejected() {
        let cases: &[(&[u8], HeadError)] = &[
            (b"GET / HTTP/2.0\r\n", HeadError::Version),
            (b"GET / HTTP/3.0\r\n\r\n", HeadError::Version),
            (b"GET / HTTP/0.9\r\n\r\n", HeadError::Malformed),
            (b"GET / HTTP/1.10\r\n\r\n", HeadError::Malformed),
            (b"GET / HTTP/01.1\r\n\r\n", HeadError::Malformed),
            (b"GET /\r\n\r\n", HeadError::Malformed),
            (b"GET /a b HTTP/1.1\r\n\r\n", HeadError::Malformed),
            (b"GET /\x7f HTTP/1.1\r\n\r\n", HeadError::Malformed),
            (b"G\xe9T / HTTP/1.1\r\n\r\n", HeadError::Malformed),
            (b"GET / HTTP/1.1\r\nA\x7f: b\r\n\r\n", HeadError::Malformed),
            (b"GET / HTTP/1.1\r\nA : b\r\n\r\n", HeadError::Malformed),
            (b"GET / HTTP/1.1\r\n A: b\r\n\r\n", HeadError::Malformed),
            (b"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", HeadError::Malformed),
            (b"GET / HTTP/1.1\r\nA: b\x7f\r\n c\r\n\r\n", HeadError::Malformed),
            (b"GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", HeadError::Malformed),
            (b"GET / HTTP/1.1\r\nA: b\0\r\n\r\n", HeadError::Malformed),
            (b"GET / HTTP/1.1\r\nA: b\x0b\r\n\r\n", HeadError::Malformed),
            (b"GET / HTTP/1.1\r\na:\r\na:\r\na:\r\na:\r\na:\r\n\r\n", HeadError::TooManyFields),
            (b"\x16\x03\x01\x02\x00", HeadError::Malformed),
        ];
        for (bytes, error) in cases {
            assert_eq!(read(bytes), Err(*error), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn response_heads_are_parsed_with_the_leniency_of_browsers() {
        let cases: &[(&[u8], &str)] = &[
            (b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n", "200 OK Http11 A=b"),
            (b"HTTP/1.0 404\r\n\r\n", "404  Http10"),
            (b"HTTP/1.1 200 OK\r\nA: b\x7f\x0bc\r\n\r\n", r"200 OK Http11 A=b\x7f\x0bc"),
        ];
        for (bytes, expected) in cases {
            let head = read_response(bytes);
            assert_eq!(head, Ok(Parsed::Complete((*expected).to_owned(), bytes.len())));
        }
        for bytes in [
            &b"HTTP/1.1 099 No\r\n\r\n"[..],
            b"HTTP/2.0 200 OK\r\n\r\n",
            b"HTTP/1.1 20 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
            b"ICY 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA: b\r\n  c\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nno colon\r\nA: b\r\n\r\n",
        ] {
            assert_eq!(read_response(bytes), Err(HeadError::Malformed), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn trailer_sections_are_complete_field_lines() {
        let count = |bytes| trailers(bytes, 2, |fields| fields.len());
        assert_eq!(count(b"\r\n"), Ok(0));
        assert_eq!(count(b"A: b\r\nC: d\r\n\r\n"), Ok(2));
        assert_eq!(count(b"A: b\r\nC: d\r\nE: f\r\n\r\n"), Err(HeadError::TooManyFields));
        assert_eq!(count(b"A: b\r\n"), Err(HeadError::Malformed));
        assert_eq!(count(b"A: b\r\n\r\nx"), Err(HeadError::Malformed));
    }

    proptest! {
        #[test]
        fn a_truncated_head_is_partial_and_never_a_different_head(
            head in "(GET|P\u{f6}) /[a-c\u{e9} ]{0,3} HTTP/1\\.[0-2]\r\n([A-B][ :]{1,2}[\u{7f}\t\r\nx]{0,3}\r\n){0,3}\r\n",
        ) {
            let bytes = head.as_bytes();
            let whole = read(bytes);
            for end in 0..bytes.len() {
                match read(&bytes[..end]) {
                    Ok(Parsed::Partial) => {}
                    // An error persists after further bytes.
                    Err(error) => prop_assert_eq!(&whole, &Err(error)),
                    complete => prop_assert_eq!(&whole, &complete),
                }
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>, at in 0..40_usize) {
            let _ = (read(&bytes), read_response(&bytes), trailers(&bytes, 3, |_| ()));
            for good in [&b"GET /a HTTP/1.1\r\nHost: a\r\nB: c\r\n\r\n"[..], b"HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\n\r\n"] {
                let mut mixed = good.to_vec();
                mixed.splice(at.min(good.len())..at.min(good.len()), bytes.iter().copied().take(3));
                let _ = (read(&mixed), read_response(&mixed));
            }
        }
    }
}
