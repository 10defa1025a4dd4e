//! The h11 parser, in a Python process that runs as long as the fuzzer.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{LazyLock, Mutex};

use crate::message::{Kind, Message, Outcome};

/// The Python interpreter for which `make installed` installs h11.
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/real/tools/python/bin/python");
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/h11_parser.py");

struct Parser {
    messages: ChildStdin,
    replies: ChildStdout,
    /// Exits at the end of its standard input.
    _process: Child,
}

static PARSER: LazyLock<Mutex<Parser>> = LazyLock::new(|| {
    let mut command = Command::new(PYTHON);
    let command = command.arg(SCRIPT).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = command.spawn().unwrap_or_else(|error| {
        panic!("cannot start {PYTHON}: {error}; `make installed` installs it, with h11")
    });
    let messages = process.stdin.take().expect("a pipe");
    let replies = process.stdout.take().expect("a pipe");
    Mutex::new(Parser { messages, replies, _process: process })
});

impl Parser {
    fn request(&mut self, kind: u8, message: &[u8]) -> std::io::Result<Vec<u8>> {
        let length = u32::try_from(message.len() + 1).expect("a short message");
        self.messages.write_all(&[&length.to_be_bytes()[..], &[kind], message].concat())?;
        let mut length = [0; 4];
        self.replies.read_exact(&mut length)?;
        let mut reply = vec![0; u32::from_be_bytes(length) as usize];
        self.replies.read_exact(&mut reply)?;
        Ok(reply)
    }
}

/// Parses the message at the start of the bytes. Also returns whether bytes follow it.
///
/// # Panics
/// If h11 is not installed or fails.
pub fn parse(kind: Kind, bytes: &[u8]) -> (Outcome, bool) {
    let kind = match kind {
        Kind::Request => b'q',
        Kind::ResponseToGet => b'r',
        Kind::ResponseToHead => b'h',
    };
    let reply = PARSER.lock().expect("no panic before").request(kind, bytes);
    let reply = reply.unwrap_or_else(|error| {
        panic!("h11 failed, or is not installed (`make installed` installs it): {error}")
    });
    match reply.split_first() {
        Some((b'c', strings)) => complete(strings),
        Some((b'i', _)) => (Outcome::Incomplete, false),
        _ => (Outcome::Rejected, false),
    }
}

fn complete(mut bytes: &[u8]) -> (Outcome, bool) {
    let mut strings = std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk()?;
        let (string, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        bytes = rest;
        Some(string.to_vec())
    });
    let mut next = || strings.next().expect("a string");
    let (start, target, version, body, trailing, count) =
        (next(), next(), next(), next(), next(), next());
    let count = String::from_utf8_lossy(&count).parse().expect("a number");
    let mut fields: Vec<_> = strings.collect();
    let mut fields: Vec<_> = fields
        .chunks_exact_mut(2)
        .map(|field| (std::mem::take(&mut field[0]), std::mem::take(&mut field[1])))
        .collect();
    let trailers = fields.split_off(count);
    let is_http10 = version == b"1.0";
    let message = Message { start, target, is_http10, fields, body, trailers };
    (Outcome::Complete(Box::new(message)), !trailing.is_empty())
}
