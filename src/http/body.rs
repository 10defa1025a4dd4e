//! Message bodies: decoding received bytes, and framing for bodies to write (RFC 9112 section 6).

use http::header::{CONTENT_LENGTH, HeaderMap};

use super::chunked::{ChunkError, ChunkHeader, ChunkedDecoder, Decoded};
use super::fields::{FieldSection, write_map};
use super::framing::BodyLength;

/// Incremental decoder for the data and the end of a body.
#[derive(Debug)]
pub(crate) enum BodyDecoder {
    /// The number of remaining bytes.
    Sized(u64),
    Chunked(ChunkedDecoder),
    /// The body ends when its connection is closed.
    UntilClose,
}

impl BodyDecoder {
    /// Creates a decoder for a body with a limit on the bytes of its trailer section.
    pub(crate) fn new(length: BodyLength, trailer_limit: usize) -> Self {
        match length {
            BodyLength::Empty => Self::Sized(0),
            BodyLength::Sized(length) => Self::Sized(length),
            BodyLength::Chunked => Self::Chunked(ChunkedDecoder::new(trailer_limit)),
            BodyLength::UntilClose => Self::UntilClose,
        }
    }

    /// Whether the last byte of the body has been decoded. Always false for a body that ends with
    /// its connection.
    pub(crate) fn has_ended(&self) -> bool {
        match self {
            Self::Sized(left) => *left == 0,
            Self::Chunked(decoder) => decoder.has_ended(),
            Self::UntilClose => false,
        }
    }

    /// Whether the body is complete if the connection ends now.
    pub(crate) fn may_end_with_connection(&self) -> bool {
        self.has_ended() || matches!(self, Self::UntilClose)
    }

    /// Decodes the next part. Bytes after the end of the body are not consumed.
    ///
    /// # Errors
    /// If the bytes are not a valid continuation of a chunked body.
    pub(crate) fn decode(&mut self, bytes: &mut [u8]) -> Result<Decoded, ChunkError> {
        match self {
            Self::Sized(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= taken as u64;
                Ok(Decoded { data: 0..taken, consumed: taken })
            }
            Self::Chunked(decoder) => decoder.decode(bytes),
            Self::UntilClose => Ok(Decoded { data: 0..bytes.len(), consumed: bytes.len() }),
        }
    }

    /// The trailer section of a complete body; empty without trailers.
    pub(crate) fn trailers(&self) -> &[u8] {
        match self {
            Self::Chunked(decoder) => decoder.trailers(),
            Self::Sized(_) | Self::UntilClose => &[],
        }
    }
}

/// The framing of a body to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyEncoder {
    /// The number of bytes still to write.
    Sized(u64),
    Chunked,
    /// Closing the connection ends the body.
    UntilClose,
}

/// The bytes to write before and after a part of a body.
#[derive(Debug)]
pub(crate) struct Frame {
    header: Option<ChunkHeader>,
}

impl Frame {
    pub(crate) fn prefix(&self) -> &[u8] {
        self.header.as_ref().map(ChunkHeader::as_bytes).unwrap_or_default()
    }

    pub(crate) fn suffix(&self) -> &'static [u8] {
        if self.header.is_some() { b"\r\n" } else { b"" }
    }
}

impl BodyEncoder {
    /// Selects the framing for a body of this size and sets `Content-Length` to match. A body of
    /// unknown size is chunked.
    pub(crate) fn new(size: Option<u64>, fields: &mut FieldSection) -> Self {
        match size {
            Some(size) => {
                fields.insert(&CONTENT_LENGTH, size.to_string());
                Self::Sized(size)
            }
            None => {
                fields.remove(&CONTENT_LENGTH);
                Self::Chunked
            }
        }
    }

    /// Frames the next `length` bytes of data; `None` if the body exceeds its `Content-Length`.
    pub(crate) fn frame(&mut self, length: usize) -> Option<Frame> {
        let header = match self {
            Self::Sized(left) => {
                *left = left.checked_sub(length as u64)?;
                None
            }
            // An empty chunk would end the body.
            Self::Chunked => (length > 0).then(|| ChunkHeader::new(length)),
            Self::UntilClose => None,
        };
        Some(Frame { header })
    }

    /// Returns the bytes that end the body, including trailers. No data may follow.
    pub(crate) fn end(&mut self, trailers: Option<&HeaderMap>) -> Vec<u8> {
        let mut end = Vec::new();
        if *self == Self::Chunked {
            *self = Self::Sized(0);
            end.extend_from_slice(b"0\r\n");
            if let Some(trailers) = trailers {
                write_map(trailers, &mut end);
            }
            end.extend_from_slice(b"\r\n");
        }
        end
    }

    /// Whether all bytes of `Content-Length` have been written.
    pub(crate) fn is_complete(&self) -> bool {
        !matches!(self, Self::Sized(1..))
    }
}
