//! HTTP/1.1 messages as consentry parses them.

use std::fmt;

use crate::http1::chunked::ChunkedDecoder;
use crate::http1::framing::{self, BodyLength, Framing, FramingError};
use crate::http1::head::{self, FieldLine, HeadError, Parsed, Version};

/// Maximum field lines in a head, and in a trailer section. Also hyper's default.
pub const MAX_FIELDS: usize = 100;
/// Maximum bytes in a trailer section. Also hyper's limit.
pub const MAX_TRAILER_BYTES: usize = 16 * 1024;

/// The name and the value of a field line.
pub type Field = (Vec<u8>, Vec<u8>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Request,
    ResponseToGet,
    ResponseToHead,
}

impl Kind {
    /// The kind given by the first byte of an input.
    pub fn of(byte: u8) -> Option<Self> {
        match byte {
            b'q' => Some(Self::Request),
            b'r' => Some(Self::ResponseToGet),
            b'h' => Some(Self::ResponseToHead),
            _ => None,
        }
    }
}

/// A message with its body.
#[derive(Default, PartialEq, Eq)]
pub struct Message {
    /// The method, or the status.
    pub start: Vec<u8>,
    /// The target; empty in a response.
    pub target: Vec<u8>,
    pub is_http10: bool,
    pub fields: Vec<Field>,
    pub body: Vec<u8>,
    pub trailers: Vec<Field>,
}

impl Message {
    /// The values of the field lines with this name.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let named = move |field: &&Field| field.0.eq_ignore_ascii_case(name.as_bytes());
        self.fields.iter().filter(named).map(|(_, value)| &value[..])
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { start, target, body, .. } = self;
        let (start, target, body) =
            (start.escape_ascii(), target.escape_ascii(), body.escape_ascii());
        write!(formatter, "{start} {target} http10={}", self.is_http10)?;
        for (name, value) in &self.fields {
            write!(formatter, " [{}: {}]", name.escape_ascii(), value.escape_ascii())?;
        }
        write!(formatter, " body={body}")?;
        for (name, value) in &self.trailers {
            write!(formatter, " [{}: {}]", name.escape_ascii(), value.escape_ascii())?;
        }
        Ok(())
    }
}

/// The result of parsing all bytes of a connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The bytes begin with this message.
    Complete(Box<Message>),
    /// The connection ends in the middle of a message.
    Incomplete,
    Rejected,
}

/// Parses the message at the start of the bytes with consentry. Also returns its length in bytes.
pub fn parse(kind: Kind, bytes: &[u8]) -> (Outcome, usize) {
    let parsed = match kind {
        Kind::Request => head::request(bytes, MAX_FIELDS, |head| {
            let (start, target) = (head.method.as_bytes().to_vec(), head.target.to_vec());
            let message = Message { start, target, ..with_fields(head.version, head.fields) };
            (message, framing::of_request(head))
        }),
        Kind::ResponseToGet | Kind::ResponseToHead => head::response(bytes, MAX_FIELDS, |head| {
            let start = head.status.to_string().into_bytes();
            let message = Message { start, ..with_fields(head.version, head.fields) };
            (message, framing::of_response(head, kind == Kind::ResponseToHead))
        }),
    };
    with_body(parsed, bytes)
}

fn with_fields(version: Version, fields: &[FieldLine<'_>]) -> Message {
    Message { is_http10: version == Version::Http10, fields: owned(fields), ..Message::default() }
}

fn owned(fields: &[FieldLine<'_>]) -> Vec<Field> {
    fields.iter().map(|field| (field.name.as_bytes().to_vec(), field.value.to_vec())).collect()
}

type Head = (Message, Result<Framing, FramingError>);

fn with_body(head: Result<Parsed<Head>, HeadError>, bytes: &[u8]) -> (Outcome, usize) {
    let (mut message, framing, length) = match head {
        Ok(Parsed::Complete((message, Ok(framing)), length)) => (message, framing, length),
        Ok(Parsed::Partial) => return (Outcome::Incomplete, bytes.len()),
        Ok(Parsed::Complete((_, Err(_)), _)) | Err(_) => return (Outcome::Rejected, 0),
    };
    let after_head = &bytes[length..];
    let end = match framing.body {
        BodyLength::Empty => 0,
        BodyLength::Sized(size) => usize::try_from(size).unwrap_or(usize::MAX),
        BodyLength::UntilClose => after_head.len(),
        BodyLength::Chunked => {
            let decoded = decode(after_head, &mut |rest| rest);
            let Ok(Decoded { data, consumed, trailers, ended }) = decoded else {
                return (Outcome::Rejected, 0);
            };
            if !ended {
                return (Outcome::Incomplete, bytes.len());
            }
            (message.body, message.trailers) = (data, trailers);
            return (Outcome::Complete(Box::new(message)), length + consumed);
        }
    };
    let Some(body) = after_head.get(..end) else { return (Outcome::Incomplete, bytes.len()) };
    message.body = body.to_vec();
    (Outcome::Complete(Box::new(message)), length + end)
}

/// The result of decoding a chunked body.
#[derive(Debug, PartialEq, Eq)]
pub struct Decoded {
    pub data: Vec<u8>,
    /// Bytes of the body.
    pub consumed: usize,
    pub trailers: Vec<Field>,
    pub ended: bool,
}

/// The error of an invalid chunked body, and the data before it.
pub type Malformed = (String, Vec<u8>);

/// Decodes a chunked body in parts. `part` returns the length of the next part, given the number of remaining
/// bytes.
pub fn decode(bytes: &[u8], part: &mut dyn FnMut(usize) -> usize) -> Result<Decoded, Malformed> {
    let mut decoder = ChunkedDecoder::new(MAX_TRAILER_BYTES);
    let (mut data, mut consumed) = (Vec::new(), 0);
    // Like the proxy: unconsumed bytes are passed again, together with newly received ones.
    let mut received = 0;
    while !decoder.has_ended() {
        if received == consumed {
            let rest = bytes.len() - received;
            if rest == 0 {
                break;
            }
            received += part(rest).clamp(1, rest);
        }
        let mut buffer = bytes[consumed..received].to_vec();
        let decoded = match decoder.decode(&mut buffer) {
            Ok(decoded) => decoded,
            Err(error) => return Err((error.to_string(), data)),
        };
        assert!(decoded.consumed <= buffer.len() && decoded.data.end <= decoded.consumed);
        let after_head = &buffer[decoded.consumed..];
        assert_eq!(after_head, &bytes[consumed + decoded.consumed..received], "bytes after the body");
        data.extend_from_slice(&buffer[decoded.data]);
        consumed += decoded.consumed;
    }
    let ended = decoder.has_ended();
    let section = decoder.trailers();
    let trailers = match ended && !section.is_empty() {
        true => head::trailers(section, MAX_FIELDS, owned),
        false => Ok(Vec::new()),
    };
    match trailers {
        Ok(trailers) => Ok(Decoded { data, consumed, trailers, ended }),
        Err(error) => Err((error.to_string(), data)),
    }
}
