//! A whole exchange over real sockets, with arbitrary bytes from the client and from the origin. The bits of the
//! first byte set the behaviour of both sides. The client's bytes follow, one or several requests, up to
//! `\n====\n`. The rest is the origin's response to each request.
//!
//! The origin sees exactly the requests that were sent, as a strict parser reads the client's bytes. It sees no
//! request that the client did not send, none twice unless it is idempotent, and none out of order. Each has its
//! method, target and body. Another client gets the response to its own request, and no other client gets that
//! response.

#![no_main]

mod grammar;
mod http1;
// Only responses are needed.
#[allow(dead_code)]
mod message;
mod origin;
#[path = "server/proxy.rs"]
mod proxy;
mod strict;

use std::cell::RefCell;
use std::net::SocketAddr;

use libfuzzer_sys::{Corpus, fuzz_mutator, fuzz_target};
use message::{Kind, Message, Outcome};
use origin::{Answer, Arrived, Client, Origin};
use strict::{Next, Request};

/// The first byte of an input.
const WELL_FORMED: u8 = 1;
const CLOSES: u8 = 2;
const EARLY: u8 = 4;
/// The client half-closes its connection at once.
const HALF_CLOSES: u8 = 8;

const SEPARATOR: &[u8] = b"\n====\n";

struct Setup {
    origin: Origin,
    service: SocketAddr,
    probes: usize,
}

thread_local! {
    static SETUP: RefCell<Setup> = RefCell::new({
        let origin = Origin::new();
        let service = proxy::start(origin.address(), "limits.requests_per_second = 1000000");
        Setup { origin, service, probes: 0 }
    });
}

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    grammar::mutate(data, size, max_size, seed)
});

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some((manners, rest)) = input.split_first() else { return Corpus::Reject };
    let end = rest.windows(SEPARATOR.len()).position(|window| window == SEPARATOR);
    let bytes = &rest[..end.unwrap_or(rest.len())];
    let answer =
        end.map(|end| &rest[end + SEPARATOR.len()..]).filter(|_| manners & WELL_FORMED == 0);
    // The probe is recognised by its target, and HTTP/2 by its preface.
    if contains(input, b"probe") || contains(bytes, b"PRI * HTTP/2.0") {
        return Corpus::Reject;
    }
    let answer =
        Answer { bytes: answer, closes: manners & CLOSES != 0, is_early: manners & EARLY != 0 };
    let half_closes = manners & HALF_CLOSES != 0;
    SETUP.with_borrow_mut(|setup| check(setup, bytes, half_closes, &answer));
    Corpus::Keep
});

fn check(setup: &mut Setup, bytes: &[u8], half_closes: bool, answer: &Answer) {
    let (sent, broken) = sent(bytes);
    let kinds = sent.iter().filter(|_| !half_closes).map(|request| match &request.method[..] {
        b"HEAD" => Kind::ResponseToHead,
        _ => Kind::ResponseToGet,
    });
    let client = Client { bytes, responses: &kinds.collect::<Vec<_>>() };
    let (got, arrived) = setup.origin.exchange(setup.service, client, answer);
    let shown =
        || format!("{}\nsent {}\ngot {}", show(&arrived), bytes.escape_ascii(), got.escape_ascii());
    assert!(!contains(&got, b"probe"), "the response to another request: {}", shown());
    let is_origins = answer.bytes.is_some_and(|bytes| contains(bytes, b" 503"));
    assert!(is_origins || !contains(&got, b"HTTP/1.1 503"), "a fault of consentry: {}", shown());
    let complete = || arrived.iter().filter(|arrived| arrived.is_complete).map(|it| &it.request);
    assert!(are_sent(&sent, complete()), "not sent, or out of order: {}", shown());
    for Arrived { request, .. } in arrived.iter().filter(|arrived| !arrived.is_complete) {
        let mut begun = sent.iter().chain(&broken);
        assert!(begun.any(|sent| begins(sent, request)), "not begun: {}", shown());
    }
    if answer.bytes.is_none() && !answer.closes && !answer.is_early {
        let plain = sent.iter().take_while(|request| is_plain(request)).count();
        let exact = complete()
            .take(plain)
            .zip(&sent)
            .filter(|(arrived, sent)| is_same(sent, arrived))
            .count();
        assert_eq!(exact, plain, "requests are missing: {}", shown());
        let mut rest = &got[..];
        for number in 0..plain {
            let expected = format!("answer {number}");
            let (response, length) = message::parse(Kind::ResponseToGet, rest);
            let is_expected = |message: &Message| message.body == expected.as_bytes();
            let is_there = matches!(&response, Outcome::Complete(message) if is_expected(message));
            assert!(is_there, "{expected} is missing: {}", shown());
            rest = &rest[length..];
        }
    }
    setup.probe();
}

impl Setup {
    /// Another client, whose request uses the previous client's upstream connection if that is reused.
    fn probe(&mut self) {
        self.probes += 1;
        let target = format!("/probe{}", self.probes);
        let request = format!("GET {target} HTTP/1.1\r\nHost: shop.example\r\n\r\n");
        let client = Client { bytes: request.as_bytes(), responses: &[] };
        let (got, arrived) = self.origin.exchange(self.service, client, &Answer::default());
        let shown = || format!("{}\ngot {}", show(&arrived), got.escape_ascii());
        let is_probe = |arrived: &Arrived| arrived.request.target == target.as_bytes();
        assert!(
            !arrived.is_empty() && arrived.iter().all(is_probe),
            "another request: {}",
            shown()
        );
        let (head, body) = got.split_at(got.len().saturating_sub(target.len()));
        let is_own = body == target.as_bytes() && head.ends_with(b"\r\n\r\n");
        assert!(
            is_own && got.starts_with(b"HTTP/1.1 200"),
            "not the response to this request: {}",
            shown()
        );
    }
}

/// The requests that the client sent, and the incomplete one after them.
fn sent(mut bytes: &[u8]) -> (Vec<Request>, Option<Request>) {
    let mut sent = Vec::new();
    loop {
        match strict::next(bytes) {
            Next::Complete(request, length) => {
                bytes = &bytes[length..];
                sent.push(request);
            }
            Next::BrokenBody(request) => return (sent, Some(request)),
            Next::CutHead | Next::Invalid => return (sent, None),
        }
        if sent.last().is_some_and(|request| !request.is_persistent) {
            return (sent, None);
        }
    }
}

/// Whether the requests that arrived are the requests that were sent, in order. Consentry may answer requests
/// itself, and may retry an idempotent request without a body before the next one.
fn are_sent<'a>(sent: &[Request], arrived: impl Iterator<Item = &'a Request>) -> bool {
    // Requests can be equal. These are all possible indices of the last request that has arrived.
    let mut ends = vec![0];
    for request in arrived {
        let may_repeat = request.is_idempotent() && request.body.is_empty();
        let may_end = |end: &usize| {
            let is_reachable = |before: &usize| before < end || before == end && may_repeat;
            *end > 0 && is_same(&sent[end - 1], request) && ends.iter().any(is_reachable)
        };
        ends = (1..=sent.len()).filter(may_end).collect();
    }
    !ends.is_empty()
}

fn is_same(sent: &Request, arrived: &Request) -> bool {
    begins(sent, arrived) && sent.body.len() == arrived.body.len()
}

fn begins(sent: &Request, arrived: &Request) -> bool {
    sent.method == arrived.method
        && sent.origin_form() == arrived.origin_form()
        && sent.body.starts_with(&arrived.body)
}

/// Whether consentry has no reason to answer a request itself, or to close the connection after it.
fn is_plain(request: &Request) -> bool {
    let has_plain_target =
        [&b"/"[..], b"/a", b"/b", b"/post", b"/put"].contains(&&request.target[..]);
    let has_plain_method = [&b"GET"[..], b"POST", b"PUT", b"DELETE"].contains(&&request.method[..]);
    let is_plain = |(name, value): &(Vec<u8>, Vec<u8>)| match &name[..] {
        b"host" => value == b"shop.example",
        b"content-length" => value.len() < 5,
        b"transfer-encoding" => value == b"chunked",
        b"x-a" | b"x-t" | b"accept" => true,
        _ => false,
    };
    let fields = &request.fields;
    has_plain_target
        && has_plain_method
        && request.minor == 1
        && request.is_persistent
        && fields.iter().all(is_plain)
        && fields.len() < 50
}

fn show(arrived: &[Arrived]) -> String {
    let lines = arrived.iter().map(|Arrived { request, is_complete }| {
        let Request { method, target, body, .. } = request;
        let (method, target, body) =
            (method.escape_ascii(), target.escape_ascii(), body.escape_ascii());
        format!(
            "\narrived ({}): {method} {target} {body}",
            if *is_complete { "complete" } else { "cut" }
        )
    });
    lines.collect()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
