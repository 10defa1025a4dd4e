//! Message framing for both directions: body length and connection persistence (RFC 9112 sections
//! 6.3 and 9.3).

use thiserror::Error;

use super::head::{FieldLine, RequestHead, ResponseHead, Version};

/// How the end of a body is determined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyLength {
    /// There is no body.
    Empty,
    /// `Content-Length` is present, and may be 0.
    Sized(u64),
    /// The chunked transfer coding marks the end.
    Chunked,
    /// The body ends when the connection is closed; responses only.
    UntilClose,
}

/// The framing of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Framing {
    pub(crate) body: BodyLength,
    /// Another message may follow on the connection.
    pub(crate) persistent: bool,
}

/// Why the end of a body cannot be determined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum FramingError {
    #[error("invalid Content-Length")]
    ContentLength,
    #[error("invalid Transfer-Encoding")]
    TransferEncoding,
    /// `chunked` is the last coding, after other codings.
    #[error("unknown transfer coding")]
    UnknownCoding,
}

/// The fields that frame a message.
#[derive(Debug, Default)]
struct FramingFields {
    length: Option<u64>,
    /// `Transfer-Encoding` is present.
    coded: bool,
    /// `chunked` is present. A coding after it sets `invalid`.
    chunked: bool,
    /// Codings besides `chunked`.
    others: bool,
    invalid: bool,
    close: bool,
    keep_alive: bool,
}

/// The transfer coding of a message.
enum TransferCoding {
    None,
    Chunked,
    /// Other codings, then `chunked`.
    Unknown,
    /// `chunked` is not the last coding, or is repeated.
    Invalid,
}

/// Determines the framing of a request.
///
/// # Errors
/// If the end of the body is ambiguous. The connection must then be closed after the error
/// response.
pub(crate) fn of_request(head: &RequestHead<'_>) -> Result<Framing, FramingError> {
    let fields = FramingFields::of(head.fields)?;
    let body = match (fields.coding(), fields.length) {
        (TransferCoding::None, None) => BodyLength::Empty,
        (TransferCoding::None, Some(length)) => BodyLength::Sized(length),
        // HTTP/1.0 has no transfer codings, so the framing is faulty (section 6.1).
        (TransferCoding::Chunked, _) if head.version == Version::Http11 => BodyLength::Chunked,
        (TransferCoding::Unknown, _) if head.version == Version::Http11 => {
            return Err(FramingError::UnknownCoding);
        }
        _ => return Err(FramingError::TransferEncoding),
    };
    // A message with both fields may be a request smuggling attempt (section 6.1).
    let ambiguous = fields.coded && fields.length.is_some();
    Ok(Framing { body, persistent: fields.persistent(head.version) && !ambiguous })
}

/// Determines the framing of a final response. `to_head` is true for a response to HEAD.
///
/// # Errors
/// If the end of the body is ambiguous. The response must then become a 502 and its connection must
/// be closed.
pub(crate) fn of_response(head: &ResponseHead<'_>, to_head: bool) -> Result<Framing, FramingError> {
    let fields = FramingFields::of(head.fields)?;
    let body = match (fields.coding(), fields.length) {
        _ if to_head || matches!(head.status, 100..=199 | 204 | 304) => BodyLength::Empty,
        (TransferCoding::None, None) => BodyLength::UntilClose,
        (TransferCoding::None, Some(length)) => BodyLength::Sized(length),
        // The transfer coding overrides the length (section 6.3).
        (TransferCoding::Chunked, _) => BodyLength::Chunked,
        (TransferCoding::Unknown, _) => return Err(FramingError::UnknownCoding),
        (TransferCoding::Invalid, _) => return Err(FramingError::TransferEncoding),
    };
    let faulty = fields.coded && (fields.length.is_some() || head.version == Version::Http10);
    let persistent = fields.persistent(head.version) && !faulty && body != BodyLength::UntilClose;
    Ok(Framing { body, persistent })
}

impl FramingFields {
    fn of(lines: &[FieldLine<'_>]) -> Result<Self, FramingError> {
        let mut fields = Self::default();
        for line in lines {
            match line.name.len() {
                10 if line.name.eq_ignore_ascii_case("connection") => fields.connection(line.value),
                14 if line.name.eq_ignore_ascii_case("content-length") => {
                    fields.content_length(line.value)?;
                }
                17 if line.name.eq_ignore_ascii_case("transfer-encoding") => {
                    fields.transfer_encoding(line.value);
                }
                _ => {}
            }
        }
        Ok(fields)
    }

    fn connection(&mut self, value: &[u8]) {
        for option in list(value) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    /// Equal values count as one, in one line or in several (RFC 9110 section 8.6).
    fn content_length(&mut self, value: &[u8]) -> Result<(), FramingError> {
        for value in value.split(|byte| *byte == b',').map(trim) {
            let length = decimal(value).ok_or(FramingError::ContentLength)?;
            if self.length.is_some_and(|other| other != length) {
                return Err(FramingError::ContentLength);
            }
            self.length = Some(length);
        }
        Ok(())
    }

    /// Several lines form one list (RFC 9110 section 5.3).
    fn transfer_encoding(&mut self, value: &[u8]) {
        self.coded = true;
        let mut empty = true;
        for coding in list(value) {
            empty = false;
            self.invalid |= self.chunked;
            if coding.eq_ignore_ascii_case(b"chunked") {
                self.chunked = true;
            } else {
                self.others = true;
            }
        }
        self.invalid |= empty;
    }

    fn coding(&self) -> TransferCoding {
        match self {
            Self { coded: false, .. } => TransferCoding::None,
            Self { chunked: true, others: false, invalid: false, .. } => TransferCoding::Chunked,
            Self { chunked: true, invalid: false, .. } => TransferCoding::Unknown,
            _ => TransferCoding::Invalid,
        }
    }

    fn persistent(&self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.keep_alive)
    }
}

/// The elements of a comma-separated list, without empty ones (RFC 9110 section 5.6.1).
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim).filter(|element| !element.is_empty())
}

/// Removes leading and trailing SP and HTAB, and nothing else.
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    // Fast path: usually there are no blanks to trim.
    if let [first, .., last] = bytes
        && *first > b' '
        && *last > b' '
    {
        return bytes;
    }
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Parses a number that has only digits.
fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::BodyLength::{Chunked, Empty, Sized, UntilClose};
    use super::*;
    use crate::http::head::{self, Parsed};

    fn request(version: &str, fields: &str) -> Result<(BodyLength, bool), FramingError> {
        let head = format!("POST / HTTP/{version}\r\n{fields}\r\n\r\n");
        match head::request(head.as_bytes(), 8, of_request) {
            Ok(Parsed::Complete(framing, _)) => framing.map(|f| (f.body, f.persistent)),
            other => panic!("{fields}: {other:?}"),
        }
    }

    fn response(
        start: &str,
        fields: &str,
        to_head: bool,
    ) -> Result<(BodyLength, bool), FramingError> {
        let head = format!("HTTP/{start} x\r\n{fields}\r\n\r\n");
        match head::response(head.as_bytes(), 8, |head| of_response(head, to_head)) {
            Ok(Parsed::Complete(framing, _)) => framing.map(|f| (f.body, f.persistent)),
            other => panic!("{fields}: {other:?}"),
        }
    }

    #[test]
    fn requests_are_framed_by_rfc_9112_section_6_3() {
        let cases: &[(&str, &str, BodyLength, bool)] = &[
            ("1.1", "X: y", Empty, true),
            ("1.0", "X: y", Empty, false),
            ("1.0", "Connection: Keep-Alive", Empty, true),
            ("1.1", "Connection: x, CLOSE", Empty, false),
            ("1.1", "Content-Length: 3", Sized(3), true),
            ("1.1", "CONTENT-LENGTH:\t0003\t", Sized(3), true),
            ("1.1", "Content-Length: 3\r\nContent-Length: 3", Sized(3), true),
            ("1.1", "Content-Length: 3, 3", Sized(3), true),
            ("1.1", "Content-Length: 18446744073709551615", Sized(u64::MAX), true),
            ("1.1", "Transfer-Encoding: chunked", Chunked, true),
            ("1.1", "transfer-encoding: , CHUNKED,", Chunked, true),
            ("1.1", "Transfer-Encoding: chunked\r\nContent-Length: 3", Chunked, false),
        ];
        for (version, fields, body, persistent) in cases {
            assert_eq!(request(version, fields), Ok((*body, *persistent)), "{version} {fields}");
        }
        for value in [
            "3, 4",
            "+3",
            "-3",
            "3a",
            "0x3",
            "",
            "3,",
            "3 3",
            "18446744073709551616",
            "3;",
            "\"3\"",
        ] {
            let fields = format!("Content-Length: {value}");
            assert_eq!(request("1.1", &fields), Err(FramingError::ContentLength), "{value}");
        }
        for value in
            ["", "gzip", "identity", "chunked, gzip", "chunked, chunked", "xchunked", "\"chunked\""]
        {
            let fields = format!("Transfer-Encoding: {value}");
            assert_eq!(request("1.1", &fields), Err(FramingError::TransferEncoding), "{value}");
        }
        let twice = "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity";
        assert_eq!(request("1.1", twice), Err(FramingError::TransferEncoding));
        let gzip = "Transfer-Encoding: gzip, chunked";
        assert_eq!(request("1.1", gzip), Err(FramingError::UnknownCoding));
        let lines = "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked";
        assert_eq!(request("1.1", lines), Err(FramingError::UnknownCoding));
        let old = "Transfer-Encoding: chunked";
        assert_eq!(request("1.0", old), Err(FramingError::TransferEncoding));
    }

    #[test]
    fn responses_are_framed_by_rfc_9112_section_6_3() {
        let cases: &[(&str, &str, bool, BodyLength, bool)] = &[
            ("1.1 200", "X: y", false, UntilClose, false),
            ("1.1 200", "Content-Length: 4, 4", false, Sized(4), true),
            ("1.0 200", "Content-Length: 4", false, Sized(4), false),
            ("1.0 200", "Content-Length: 4\r\nConnection: keep-alive", false, Sized(4), true),
            ("1.1 200", "Transfer-Encoding: chunked", false, Chunked, true),
            ("1.1 200", "Content-Length: 4\r\nTransfer-Encoding: chunked", false, Chunked, false),
            (
                "1.0 200",
                "Transfer-Encoding: chunked\r\nConnection: keep-alive",
                false,
                Chunked,
                false,
            ),
            ("1.1 200", "Content-Length: 4", true, Empty, true),
            ("1.1 204", "X: y", false, Empty, true),
            ("1.1 304", "Content-Length: 4", false, Empty, true),
        ];
        for (start, fields, to_head, body, persistent) in cases {
            assert_eq!(
                response(start, fields, *to_head),
                Ok((*body, *persistent)),
                "{start} {fields}"
            );
        }
        let unknown = "Transfer-Encoding: gzip, chunked";
        assert_eq!(response("1.1 200", unknown, false), Err(FramingError::UnknownCoding));
        let lengths = "Content-Length: 4\r\nContent-Length: 5";
        assert_eq!(response("1.1 200", lengths, false), Err(FramingError::ContentLength));
    }
}
