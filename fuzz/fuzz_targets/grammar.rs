//! Mutator for the grammar of HTTP/1.1. Half of the mutations insert a line or a word of the protocol, so that
//! many inputs stay nearly valid.

use libfuzzer_sys::fuzzer_mutate;

/// Field lines and start lines that decide framing, and similar ones.
const LINES: &[&str] = &[
    "Host: shop.example\r\n",
    "Content-Length: 3\r\n",
    "Content-Length: 3, 3\r\n",
    "Content-Length: 0\r\n",
    "Content-Length : 3\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Transfer-Encoding:\tChunked ,\r\n",
    "Transfer-Encoding: identity\r\n",
    "Transfer_Encoding: chunked\r\n",
    "Connection: close\r\n",
    "Connection: keep-alive\r\n",
    "Connection: content-length, transfer-encoding\r\n",
    "Expect: 100-continue\r\n",
    "Upgrade: websocket\r\nConnection: upgrade\r\n",
    "Trailer: X-T\r\nTE: trailers\r\n",
    "GET / HTTP/1.1\r\n",
    "POST /post HTTP/1.1\r\n",
    "HEAD /head HTTP/1.0\r\n",
    "PUT http://shop.example/a?b HTTP/1.1\r\n",
    "OPTIONS * HTTP/1.2\r\n",
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 204 No Content\r\n",
    "HTTP/1.1 304 Not Modified\r\n",
    "HTTP/1.1 103 Early Hints\r\n\r\n",
    "HTTP/1.0 200\r\n",
    "3\r\nabc\r\n",
    "3;a=\"b\"\r\nabc\r\n",
    "03 \r\nabc\r\n",
    "0\r\n\r\n",
    "0\r\nX-T: y\r\n\r\n",
    "abc",
    "\r\n",
];

/// Bytes that delimit a line, a name or a value.
const WORDS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b":",
    b"\0",
    b"\x0b",
    b"\x0c",
    b"\x7f",
    b"\x80",
    b"\xff",
    b",",
    b";",
    b"0",
    b"1",
    b"+",
    b"-",
    b"0x",
    b"ffffffffffffffff",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"HTTP/2.0",
    b"chunked",
    b"#",
    b"//",
    b"\"",
    b"\r\n ",
];

/// A xorshift generator. libFuzzer provides one seed per mutation.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap_or_default() % end.max(1)
    }
}

/// Mutates the first `size` bytes of `data`. Returns the new size.
pub fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let mut random = Random(u64::from(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    random.below(1);
    if random.below(2) == 0 {
        return fuzzer_mutate(data, size, max_size);
    }
    let mut input = data[..size].to_vec();
    for _ in 0..=random.below(3) {
        edit(&mut input, &mut random);
    }
    input.truncate(max_size);
    data[..input.len()].copy_from_slice(&input);
    input.len()
}

fn edit(input: &mut Vec<u8>, random: &mut Random) {
    let ends = input.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    let starts: Vec<usize> = std::iter::once(0).chain(ends).collect();
    let line = random.below(starts.len());
    let start = starts[line];
    let end = starts.get(line + 1).copied().unwrap_or(input.len());
    let other = starts[random.below(starts.len())];
    let known = LINES[random.below(LINES.len())].bytes();
    match random.below(6) {
        0 => drop(input.splice(start..start, known)),
        1 => drop(input.splice(start..end, known)),
        2 => drop(input.drain(start..end)),
        3 => {
            let copy = input[start..end].to_vec();
            drop(input.splice(other..other, copy));
        }
        // After the line's last byte, or before the end of the line.
        4 => {
            let at = end.saturating_sub(2).max(start);
            drop(input.splice(at..at, WORDS[random.below(WORDS.len())].iter().copied()));
        }
        _ => {
            let at = random.below(input.len() + 1);
            let to = (at + random.below(3)).min(input.len());
            drop(input.splice(at..to, WORDS[random.below(WORDS.len())].iter().copied()));
        }
    }
}

/// Whether only extensions follow a chunk size: whitespace, and `;` before the first of them (RFC 9112 section
/// 7.1.1).
#[allow(dead_code)] // One of the targets has no chunks.
pub fn is_extension(mut bytes: &[u8]) -> bool {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    matches!(bytes, [] | [b';', ..])
}
