//! Body of a received HTTP/1.1 message as frames, for requests and responses.

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::http::body::BodyDecoder;
use crate::http::chunked::ChunkError;
use crate::http::framing::BodyLength;
use crate::http::head::{self, HeadError};
use crate::proxy::http1_io::Http1Io;

/// Decoder for the body of a received message. It finds the end of the body and the trailers in the
/// connection's bytes.
#[derive(Debug)]
pub(crate) struct Http1Body {
    decoder: BodyDecoder,
    /// Maximum number of trailer fields.
    max_fields: usize,
    trailers_returned: bool,
}

/// The next part of a body, from the unread bytes of a connection.
#[derive(Debug)]
pub(crate) enum BodyPart {
    Frame(Frame<Bytes>),
    /// More bytes must be read.
    Missing,
    End,
}

impl Http1Body {
    /// Creates a body with limits on the bytes and fields of its trailer section.
    pub(crate) fn new(length: BodyLength, (max_bytes, max_fields): (usize, usize)) -> Self {
        let decoder = BodyDecoder::new(length, max_bytes);
        Self { decoder, max_fields, trailers_returned: false }
    }

    /// Decodes the next part from the unread bytes of a connection. Bytes after the body stay
    /// unread.
    ///
    /// # Errors
    /// If the bytes are not a valid continuation of the body.
    pub(crate) fn next<E>(&mut self, io: &mut Http1Io) -> Result<BodyPart, E>
    where
        E: From<ChunkError> + From<HeadError>,
    {
        if self.decoder.has_ended() {
            let trailers = self.decoder.trailers();
            if trailers.is_empty() || std::mem::replace(&mut self.trailers_returned, true) {
                return Ok(BodyPart::End);
            }
            let headers = head::trailers(trailers, self.max_fields, crate::http::to_map)?;
            return Ok(BodyPart::Frame(Frame::trailers(headers)));
        }
        let unread = io.unread();
        if unread.is_empty() {
            return Ok(BodyPart::Missing);
        }
        let decoded = self.decoder.decode(unread)?;
        if decoded.data.is_empty() {
            // Only framing: the body has ended, or more bytes must be read.
            io.consume(decoded.consumed);
            return self.next(io);
        }
        Ok(BodyPart::Frame(Frame::data(io.take(decoded.consumed, decoded.data))))
    }

    /// Whether the last byte of the body has been consumed, including the trailer section.
    pub(crate) fn has_ended(&self) -> bool {
        self.decoder.has_ended()
    }

    /// Whether the body is complete if the connection ends now.
    pub(crate) fn may_end_with_connection(&self) -> bool {
        self.decoder.may_end_with_connection()
    }

    /// Whether no frame is left.
    pub(crate) fn is_end_stream(&self) -> bool {
        self.decoder.has_ended() && (self.trailers_returned || self.decoder.trailers().is_empty())
    }

    /// The number of remaining bytes, if known.
    pub(crate) fn size_hint(&self) -> SizeHint {
        match &self.decoder {
            BodyDecoder::Sized(left) => SizeHint::with_exact(*left),
            BodyDecoder::Chunked(_) | BodyDecoder::UntilClose => SizeHint::default(),
        }
    }
}
