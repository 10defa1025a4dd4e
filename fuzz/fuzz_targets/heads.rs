//! Heads and their framing: one message, parsed by consentry, hyper and h11. The first byte is `q` for a request,
//! `r` for a response to GET, `h` for a response to HEAD. The rest is the content of the connection.
//!
//! Each parser that accepts the message sees the same method, target, fields, body, trailers and length.
//! `differences.rs` lists the messages that only consentry accepts.

#![no_main]

mod differences;
mod differential;
mod grammar;
mod h11;
mod http1;
mod hyper;
mod message;

use libfuzzer_sys::{Corpus, fuzz_mutator, fuzz_target};
use message::{Kind, Outcome};

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    grammar::mutate(data, size, max_size, seed)
});

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some((kind, bytes)) = input.split_first() else { return Corpus::Reject };
    let Some(kind) = Kind::of(*kind) else { return Corpus::Reject };
    if let (Outcome::Complete(message), _) = message::parse(kind, bytes)
        && kind != Kind::Request
        && message.start.starts_with(b"1")
    {
        // Another response follows, or bytes that are not HTTP.
        return Corpus::Reject;
    }
    differential::check(kind, bytes);
    Corpus::Keep
});
