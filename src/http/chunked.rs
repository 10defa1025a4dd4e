//! Chunked transfer coding (RFC 9112 section 7.1): an incremental decoder and chunk headers.

use std::ops::Range;

use thiserror::Error;

/// Maximum bytes of chunk extensions in one body, including whitespace after chunk sizes.
const MAX_EXTENSION_BYTES: u32 = 16 * 1024;

/// Why bytes are not a valid chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum ChunkError {
    #[error("malformed chunk")]
    Malformed,
    #[error("chunk extensions too long")]
    ExtensionsTooLong,
    #[error("trailer section too long")]
    TrailersTooLong,
}

/// The result of decoding a part of a chunked body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// The position of the data in the buffer after decoding.
    pub(crate) data: Range<usize>,
    /// The number of bytes that belong to the body. Fewer than all only if the body ends or an
    /// error follows the data.
    pub(crate) consumed: usize,
}

/// Incremental decoder for a chunked body.
#[derive(Debug)]
pub(crate) struct ChunkedDecoder {
    state: DecoderState,
    /// The remaining bytes of a chunk, or the digits of its size read so far.
    left: u64,
    extension_bytes: u32,
    trailer_limit: u32,
    /// The trailer section with its empty line, once the body has ended.
    trailers: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DecoderState {
    /// Before the first digit of a size.
    SizeStart,
    Size,
    /// In whitespace after a size. Only extensions may follow (RFC 9112 section 7.1.1).
    Space,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the start of a trailer line.
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
    End,
}

impl ChunkedDecoder {
    /// Creates a decoder with a limit on the bytes of the trailer section.
    pub(crate) fn new(trailer_limit: usize) -> Self {
        Self {
            state: DecoderState::SizeStart,
            left: 0,
            extension_bytes: 0,
            trailer_limit: u32::try_from(trailer_limit).unwrap_or(u32::MAX),
            trailers: Vec::new(),
        }
    }

    /// Whether the body has been decoded to its end, including the trailer section.
    pub(crate) fn has_ended(&self) -> bool {
        self.state == DecoderState::End
    }

    /// The trailer section of a complete body, with its final empty line. Empty if there are no
    /// trailers.
    pub(crate) fn trailers(&self) -> &[u8] {
        &self.trailers
    }

    /// Decodes the next part of the body. The data of its chunks is joined in place within `bytes`.
    ///
    /// # Errors
    /// If the bytes are not a valid continuation of a chunked body. Data before the error is
    /// returned first, and the next call fails. After an error the decoder must not be used.
    pub(crate) fn decode(&mut self, bytes: &mut [u8]) -> Result<Decoded, ChunkError> {
        let mut data: Option<Range<usize>> = None;
        let mut at = 0;
        while self.state != DecoderState::End {
            let Some(byte) = bytes.get(at).copied() else { break };
            if self.state == DecoderState::Data {
                let rest = (bytes.len() - at) as u64;
                let taken = usize::try_from(self.left.min(rest)).unwrap_or(usize::MAX);
                let to = data.get_or_insert(at..at);
                if to.end != at {
                    bytes.copy_within(at..at + taken, to.end);
                }
                to.end += taken;
                at += taken;
                self.left -= taken as u64;
                if self.left == 0 {
                    self.state = DecoderState::DataCr;
                }
                continue;
            }
            match self.next(byte) {
                Ok(state) => self.state = state,
                // Return the valid data first.
                Err(_) if data.is_some() => break,
                Err(error) => return Err(error),
            }
            at += 1;
        }
        Ok(Decoded { data: data.unwrap_or(0..0), consumed: at })
    }

    /// Returns the state after a byte that is not data.
    fn next(&mut self, byte: u8) -> Result<DecoderState, ChunkError> {
        Ok(match (self.state, byte) {
            (DecoderState::SizeStart | DecoderState::Size, digit) if digit.is_ascii_hexdigit() => {
                let digit = char::from(digit).to_digit(16).unwrap_or_default();
                // Reject sizes that need more than 60 bits.
                if self.left >> 56 != 0 {
                    return Err(ChunkError::Malformed);
                }
                self.left = self.left << 4 | u64::from(digit);
                DecoderState::Size
            }
            (DecoderState::Size | DecoderState::Space | DecoderState::Extension, b'\r') => {
                DecoderState::SizeLf
            }
            (DecoderState::Size | DecoderState::Space, b' ' | b'\t') => {
                self.extension(DecoderState::Space)?
            }
            (DecoderState::Size | DecoderState::Space, b';') => {
                self.extension(DecoderState::Extension)?
            }
            (DecoderState::Extension, byte) if byte != b'\n' => {
                self.extension(DecoderState::Extension)?
            }
            (DecoderState::SizeLf, b'\n') if self.left > 0 => DecoderState::Data,
            (DecoderState::SizeLf, b'\n') => DecoderState::TrailerStart,
            (DecoderState::DataCr, b'\r') => DecoderState::DataLf,
            (DecoderState::DataLf, b'\n') => DecoderState::SizeStart,
            (DecoderState::TrailerStart, b'\r') => DecoderState::EndLf,
            (DecoderState::EndLf, b'\n') => {
                if !self.trailers.is_empty() {
                    self.trailers.extend_from_slice(b"\r\n");
                }
                DecoderState::End
            }
            (DecoderState::TrailerStart | DecoderState::Trailer, byte) if byte != b'\n' => {
                self.trailer(byte)?;
                if byte == b'\r' { DecoderState::TrailerLf } else { DecoderState::Trailer }
            }
            (DecoderState::TrailerLf, b'\n') => {
                self.trailer(byte)?;
                DecoderState::TrailerStart
            }
            _ => return Err(ChunkError::Malformed),
        })
    }

    /// Counts a byte after a chunk size and returns the next state.
    fn extension(&mut self, state: DecoderState) -> Result<DecoderState, ChunkError> {
        self.extension_bytes += 1;
        if self.extension_bytes > MAX_EXTENSION_BYTES {
            return Err(ChunkError::ExtensionsTooLong);
        }
        Ok(state)
    }

    fn trailer(&mut self, byte: u8) -> Result<(), ChunkError> {
        if self.trailers.len() >= self.trailer_limit as usize {
            return Err(ChunkError::TrailersTooLong);
        }
        self.trailers.push(byte);
        Ok(())
    }
}

/// The header line of a chunk: the size in hexadecimal and CRLF.
#[derive(Debug)]
pub(crate) struct ChunkHeader {
    bytes: [u8; 18],
    start: usize,
}

impl ChunkHeader {
    pub(crate) fn new(length: usize) -> Self {
        let mut bytes = *b"0000000000000000\r\n";
        let mut start = 16;
        let mut rest = length;
        for digit in bytes.iter_mut().take(16).rev() {
            *digit = b"0123456789abcdef".get(rest & 15).copied().unwrap_or(b'0');
            start -= 1;
            rest >>= 4;
            if rest == 0 {
                break;
            }
        }
        Self { bytes, start }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Decodes bytes in parts of this length. Returns the data, the number of consumed bytes and
    /// the trailer section.
    fn decode(bytes: &[u8], part: usize) -> Result<(Vec<u8>, usize, Vec<u8>, bool), ChunkError> {
        let mut decoder = ChunkedDecoder::new(64);
        let (mut data, mut consumed) = (Vec::new(), 0);
        for part in bytes.chunks(part) {
            let mut part = part.to_vec();
            let mut rest = &mut part[..];
            while !rest.is_empty() && !decoder.has_ended() {
                let decoded = decoder.decode(rest)?;
                data.extend_from_slice(&rest[decoded.data]);
                consumed += decoded.consumed;
                rest = &mut rest[decoded.consumed..];
            }
        }
        Ok((data, consumed, decoder.trailers().to_vec(), decoder.has_ended()))
    }

    #[test]
    fn chunked_bodies_are_decoded_exactly_to_their_end() {
        let cases: &[(&[u8], &[u8], &[u8], usize)] = &[
            (b"0\r\n\r\nNEXT", b"", b"", 4),
            (b"3\r\nabc\r\n0\r\n\r\nNEXT", b"abc", b"", 4),
            (b"3\r\nabc\r\n2\r\nde\r\n000\r\n\r\n", b"abcde", b"", 0),
            (b"A;x=\"y\";z\r\n0123456789\r\n0;last\r\n\r\n", b"0123456789", b"", 0),
            (b"3 \r\nabc\r\n0 \t;x \r\n\r\n", b"abc", b"", 0),
            (b"1\r\na\r\n0\r\nX: y\r\nZ: \r\n\r\nNEXT", b"a", b"X: y\r\nZ: \r\n\r\n", 4),
        ];
        for (bytes, data, trailers, left) in cases {
            for part in 1..=bytes.len() {
                let expected = (data.to_vec(), bytes.len() - left, trailers.to_vec(), true);
                assert_eq!(decode(bytes, part), Ok(expected), "{} {part}", bytes.escape_ascii());
            }
        }
    }

    #[test]
    fn malformed_chunks_are_rejected() {
        let long_extension = [b"1;", &[b'x'; 20_000][..], b"\r\na\r\n0\r\n\r\n"].concat();
        let long_trailer = [b"0\r\nx: ", &[b'x'; 100][..], b"\r\n\r\n"].concat();
        for bytes in [
            &b"g\r\n"[..],
            b"-3\r\n",
            b"+3\r\n",
            b" 3\r\n",
            b"0x3\r\n",
            b"\r\n3\r\n",
            b";x\r\n",
            b"3 x\r\n",
            b"3\t3\r\n",
            b"3\nabc",
            b"3\rabc",
            b"3;x\nabc",
            b"3;x\ry",
            b"3\r\nabcd",
            b"3\r\nabc\n",
            b"0\r\n\n",
            b"0\r\nX: y\n\r\n",
            b"0\r\nX: \ry\r\n\r\n",
            b"10000000000000000\r\n",
            b"fffffffffffffffff\r\n",
            &long_extension,
            &long_trailer,
        ] {
            for part in [1, 2, bytes.len()] {
                assert!(decode(bytes, part).is_err(), "{} {part}", bytes.escape_ascii());
            }
        }
    }

    #[test]
    fn chunk_headers_are_hexadecimal() {
        for length in [1, 9, 10, 15, 16, 255, 65_536, usize::MAX] {
            let header = ChunkHeader::new(length);
            assert_eq!(header.as_bytes(), format!("{length:x}\r\n").as_bytes());
        }
    }

    proptest! {
        #[test]
        fn encoded_bodies_decode_in_any_chunking(
            chunks in proptest::collection::vec("[a-z]{1,40}", 0..6),
            part in 1..50_usize,
        ) {
            let mut bytes = Vec::new();
            for chunk in &chunks {
                bytes.extend_from_slice(ChunkHeader::new(chunk.len()).as_bytes());
                bytes.extend_from_slice(chunk.as_bytes());
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
            let expected = (chunks.concat().into_bytes(), bytes.len(), Vec::new(), true);
            prop_assert_eq!(decode(&bytes, part), Ok(expected));
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_decode_the_same_in_any_chunking(
            bytes in "[0-3a;x \r\n]{0,40}",
            part in 1..8_usize,
        ) {
            let whole = decode(bytes.as_bytes(), 64);
            prop_assert_eq!(decode(bytes.as_bytes(), part), whole);
        }
    }
}
