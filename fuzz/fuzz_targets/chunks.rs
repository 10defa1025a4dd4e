//! Chunked bodies. The first byte seeds the lengths of the parts that the decoder gets. The rest is the body. In it, `~` and
//! two more bytes encode a long run of the first of them. Short inputs thus reach the decoder's limits.
//!
//! The result does not depend on the parts, and nothing after the end is consumed. The decoder accepts the same bodies
//! as a parser by the grammar of RFC 9112 section 7.1. If hyper and h11 accept the body, they return the same data and
//! trailers.

#![no_main]

mod differences;
mod differential;
mod grammar;
mod h11;
mod http1;
mod hyper;
// Only requests are needed.
#[allow(dead_code)]
mod message;

use libfuzzer_sys::{Corpus, fuzz_mutator, fuzz_target};
use message::{Decoded, Kind, MAX_TRAILER_BYTES};

/// Bytes of extensions and whitespace after the chunk sizes of a body. hyper has the same limit.
const MAX_EXTENSION_BYTES: usize = 16 * 1024;
/// Body length in bytes after which runs are not expanded.
const MAX_BODY_BYTES: usize = 64 * 1024;
const HEAD: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    grammar::mutate(data, size, max_size, seed)
});

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some((seed, body)) = input.split_first() else { return Corpus::Reject };
    let body = &expand(body);
    let whole = message::decode(body, &mut |rest| rest);
    let mut state = usize::from(*seed);
    let single = message::decode(body, &mut |_| 1);
    let random = message::decode(body, &mut |_| {
        state = state * 1_103_515_245 % 65_537 + 12_345;
        state % 23 + 1
    });
    assert_eq!(whole, single, "in single bytes: {}", body.escape_ascii());
    assert_eq!(whole, random, "in parts by {seed}: {}", body.escape_ascii());
    let by_grammar = parse_by_grammar(body);
    match &whole {
        Ok(decoded) if decoded.ended => {
            let Decoded { data, consumed, .. } = decoded;
            let expected =
                by_grammar.unwrap_or_else(|| panic!("accepted: {}", body.escape_ascii()));
            assert_eq!((&expected.0, expected.1), (data, *consumed), "{}", body.escape_ascii());
            let cut = message::decode(&body[..consumed - 1], &mut |rest| rest);
            assert!(cut.is_ok_and(|cut| !cut.ended), "it ended before: {}", body.escape_ascii());
        }
        _ => assert!(by_grammar.is_none(), "not accepted: {}", body.escape_ascii()),
    }
    differential::check(Kind::Request, &[HEAD, body].concat());
    Corpus::Keep
});

fn expand(body: &[u8]) -> Vec<u8> {
    let mut expanded = Vec::new();
    let mut rest = body;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after) {
            (b'~', [repeated, count, after @ ..]) if expanded.len() < MAX_BODY_BYTES => {
                expanded.resize(expanded.len() + usize::from(*count) * 128, *repeated);
                rest = after;
            }
            _ => expanded.push(*byte),
        }
    }
    expanded
}

/// Parser with all bytes in memory. Returns the data and the length of the chunked body at the start of the bytes, within
/// the limits of the decoder. `None` if the body is incomplete.
fn parse_by_grammar(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut data, mut at, mut extension_bytes) = (Vec::new(), 0, 0);
    let line = |at: usize| {
        let end = bytes[at..].iter().position(|byte| *byte == b'\n')? + at;
        let line = bytes[at..end].strip_suffix(b"\r")?;
        (!line.contains(&b'\r')).then_some((line, end + 1))
    };
    loop {
        let (header, after) = line(at)?;
        let digits = header.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (digits, extension) = header.split_at(digits);
        if !grammar::is_extension(extension) {
            return None;
        }
        extension_bytes += extension.len();
        let significant = std::str::from_utf8(digits).ok()?.trim_start_matches('0');
        if digits.is_empty() || significant.len() > 15 || extension_bytes > MAX_EXTENSION_BYTES {
            return None;
        }
        let size = usize::from_str_radix(&format!("0{significant}"), 16).ok()?;
        at = after;
        if size == 0 {
            break;
        }
        data.extend_from_slice(bytes.get(at..at.checked_add(size)?)?);
        at += size;
        if bytes.get(at..at + 2)? != b"\r\n" {
            return None;
        }
        at += 2;
    }
    let start = at;
    loop {
        let (field, after) = line(at)?;
        if field.is_empty() {
            let section = &bytes[start..after];
            let fits = at - start <= MAX_TRAILER_BYTES;
            let valid =
                at == start || http1::head::trailers(section, message::MAX_FIELDS, |_| ()).is_ok();
            return (fits && valid).then_some((data, after));
        }
        at = after;
    }
}
