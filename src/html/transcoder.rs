//! Streaming decoder and encoder for content codings (RFC 9110 section 8.4.1, RFC 7932, RFC 8878).

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use async_compression::Level;
use async_compression::codecs::brotli::params::EncoderParams;
use async_compression::codecs::zstd::params::CParameter;
use async_compression::codecs::{
    BrotliDecoder, BrotliEncoder, DecodeV2, EncodeV2, GzipDecoder, GzipEncoder, ZstdDecoder,
    ZstdEncoder,
};
use async_compression::core::util::{PartialBuffer, WriteBuffer};

/// Maximum number of pages of a site to decode at a time: their tables use some hundred KiB each.
const MAX_CONCURRENT: usize = 256;

/// Size of the output buffer, in bytes.
const PIECE: usize = 8 * 1024;

/// First bytes of a gzip member (RFC 1952 section 2.3.1).
const GZIP_MEMBER: [u8; 3] = [0x1f, 0x8b, 8];

/// The content coding of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PageCoding {
    Identity,
    Gzip,
    Brotli,
    Zstd,
}

impl PageCoding {
    /// The coding of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name.trim().to_ascii_lowercase().as_str() {
            "identity" | "" => Some(Self::Identity),
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "br" => Some(Self::Brotli),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// Concurrency limit for rewriting compressed pages.
#[derive(Debug, Default)]
pub(super) struct RewriteLimit {
    in_use: Arc<AtomicUsize>,
}

/// Permit to rewrite one compressed page. Dropping it releases the permit.
#[derive(Debug)]
pub(super) struct Permit {
    in_use: Arc<AtomicUsize>,
}

impl RewriteLimit {
    /// Acquires a permit, unless the limit is reached.
    pub(super) fn take(&self) -> Option<Permit> {
        let permit = |in_use| (in_use < MAX_CONCURRENT).then_some(in_use + 1);
        self.in_use.fetch_update(Relaxed, Relaxed, permit).ok()?;
        Some(Permit { in_use: Arc::clone(&self.in_use) })
    }

    /// Whether the limit is reached.
    pub(super) fn is_empty(&self) -> bool {
        self.in_use.load(Relaxed) >= MAX_CONCURRENT
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.in_use.fetch_sub(1, Relaxed);
    }
}

/// Decodes and re-encodes a page.
pub(super) struct Transcoder {
    decoder: Box<dyn DecodeV2 + Send>,
    encoder: Box<dyn EncodeV2 + Send>,
    follows: TrailingData,
    /// The end of the compressed stream was read.
    ended: bool,
    /// The decoder may have more output without more input.
    full: bool,
    /// There is encoded data that is not flushed.
    dirty: bool,
    /// Output buffer.
    piece: Box<[u8; PIECE]>,
}

/// The data that may follow the end of a compressed stream.
#[derive(Debug, Clone, Copy)]
enum TrailingData {
    /// Ignored, as in browsers.
    Nothing,
    /// Another frame (RFC 8878 section 3.1).
    Frame,
    /// Another gzip member (RFC 1952 section 2.2). This many bytes of its start were read.
    Member(usize),
}

impl Transcoder {
    /// The codec of a coding. `None` for `identity`.
    pub(super) fn of(coding: PageCoding) -> Option<Self> {
        let (decoder, encoder): (Box<dyn DecodeV2 + Send>, Box<dyn EncodeV2 + Send>) = match coding
        {
            PageCoding::Identity => return None,
            PageCoding::Gzip => {
                (Box::new(GzipDecoder::new()), Box::new(GzipEncoder::new(Level::Precise(1).into())))
            }
            PageCoding::Brotli => {
                let params = EncoderParams::default().quality(Level::Precise(3)).window_size(16);
                (Box::new(BrotliDecoder::new()), Box::new(BrotliEncoder::new(params)))
            }
            PageCoding::Zstd => {
                let params = [
                    CParameter::window_log(16),
                    CParameter::hash_log(14),
                    CParameter::chain_log(13),
                ];
                (Box::new(ZstdDecoder::new()), Box::new(ZstdEncoder::new_with_params(1, &params)))
            }
        };
        let follows = match coding {
            PageCoding::Zstd => TrailingData::Frame,
            PageCoding::Gzip => TrailingData::Member(0),
            PageCoding::Identity | PageCoding::Brotli => TrailingData::Nothing,
        };
        let piece = Box::new([0; PIECE]);
        Some(Self { decoder, encoder, follows, ended: false, full: false, dirty: false, piece })
    }

    /// Decodes a part of the input into `plain`. Returns the number of bytes consumed. If nothing
    /// is consumed and `plain` is empty, more input is needed.
    pub(super) fn decode(&mut self, input: &[u8], plain: &mut Vec<u8>) -> io::Result<usize> {
        plain.clear();
        if self.ended {
            match self.follows {
                _ if input.is_empty() => return Ok(0),
                TrailingData::Nothing => return Ok(input.len()),
                TrailingData::Frame => {
                    self.decoder.reinit()?;
                    self.ended = false;
                }
                TrailingData::Member(read) => return self.begin_member(read, input),
            }
        }
        let mut output = WriteBuffer::new_initialized(&mut *self.piece);
        let mut input = PartialBuffer::new(input);
        if input.unwritten().is_empty() {
            if self.full {
                self.decoder.flush(&mut output)?;
            }
        } else {
            self.ended = self.decoder.decode(&mut input, &mut output)?;
        }
        plain.extend_from_slice(output.written());
        self.full = output.has_no_spare_space();
        Ok(input.written_len())
    }

    /// Checks for another gzip member; `read` bytes of its start were read before. Returns the
    /// number of bytes consumed.
    fn begin_member(&mut self, read: usize, input: &[u8]) -> io::Result<usize> {
        let rest = GZIP_MEMBER.get(read..).unwrap_or_default();
        let same = input.iter().zip(rest).take_while(|(byte, expected)| byte == expected).count();
        if same == rest.len() {
            self.follows = TrailingData::Member(0);
            self.ended = false;
            self.decoder.reinit()?;
            let mut nothing = [0; 1];
            let mut output = WriteBuffer::new_initialized(&mut nothing);
            self.decoder.decode(&mut PartialBuffer::new(&GZIP_MEMBER[..]), &mut output)?;
            return Ok(same);
        }
        self.follows = match same == input.len() {
            true => TrailingData::Member(read + same),
            false => TrailingData::Nothing,
        };
        Ok(input.len())
    }

    /// Whether the compressed stream is complete, if no more input follows.
    pub(super) fn is_whole(&mut self) -> bool {
        let mut nothing = [0_u8; 64];
        let mut output = WriteBuffer::new_initialized(&mut nothing);
        self.ended || matches!(self.decoder.finish(&mut output), Ok(true))
    }

    /// Whether there may be more output without more input.
    pub(super) fn has_more(&self) -> bool {
        self.full && !self.ended
    }

    /// Encodes bytes.
    pub(super) fn encode(&mut self, plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let mut input = PartialBuffer::new(plain);
        while !input.unwritten().is_empty() {
            let mut output = WriteBuffer::new_initialized(&mut *self.piece);
            self.encoder.encode(&mut input, &mut output)?;
            out.extend_from_slice(output.written());
            self.dirty = true;
        }
        Ok(())
    }

    /// Flushes the encoded data, because the origin pauses.
    pub(super) fn flush(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if !std::mem::take(&mut self.dirty) {
            return Ok(());
        }
        drain(&mut *self.piece, out, |output| self.encoder.flush(output))
    }

    /// Ends the compressed stream.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        drain(&mut *self.piece, out, |output| self.encoder.finish(output))
    }
}

fn drain(
    piece: &mut [u8],
    out: &mut Vec<u8>,
    mut step: impl FnMut(&mut WriteBuffer<'_>) -> io::Result<bool>,
) -> io::Result<()> {
    loop {
        let mut output = WriteBuffer::new_initialized(&mut *piece);
        let done = step(&mut output)?;
        out.extend_from_slice(output.written());
        if done {
            return Ok(());
        }
    }
}
