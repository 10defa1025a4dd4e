//! A whole exchange over real sockets, with arbitrary bytes from the client and from the origin. The bits of the
//! first byte set the behaviour of both sides. The client's bytes follow, one or several requests, up to
//! `\n====\n`. The rest is the origin's response to each request.
//!
//! The origin receives exactly the sent requests, as parsed from the client's bytes by a strict parser. It receives no
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
use origin::{ScriptedResponse, ReceivedRequest, Client, Origin};
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
    let Some((flags, rest)) = input.split_first() else { return Corpus::Reject };
    let end = rest.windows(SEPARATOR.len()).position(|window| window == SEPARATOR);
    let bytes = &rest[..end.unwrap_or(rest.len())];
    let scripted =
        end.map(|end| &rest[end + SEPARATOR.len()..]).filter(|_| flags & WELL_FORMED == 0);
    // The probe is recognised by its target, and HTTP/2 by its preface.
    if contains(input, b"probe") || contains(bytes, b"PRI * HTTP/2.0") {
        return Corpus::Reject;
    }
    let scripted =
        ScriptedResponse { bytes: scripted, closes: flags & CLOSES != 0, is_early: flags & EARLY != 0 };
    let half_closes = flags & HALF_CLOSES != 0;
    SETUP.with_borrow_mut(|setup| check(setup, bytes, half_closes, &scripted));
    Corpus::Keep
});

fn check(setup: &mut Setup, bytes: &[u8], half_closes: bool, scripted: &ScriptedResponse) {
    let (sent, broken) = sent(bytes);
    let kinds = sent.iter().filter(|_| !half_closes).map(|request| match &request.method[..] {
        b"HEAD" => Kind::ResponseToHead,
        _ => Kind::ResponseToGet,
    });
    let client = Client { bytes, responses: &kinds.collect::<Vec<_>>() };
    let (response, received) = setup.origin.exchange(setup.service, client, scripted);
    let shown =
        || format!("{}\nsent {}\ngot {}", show(&received), bytes.escape_ascii(), response.escape_ascii());
    assert!(!contains(&response, b"probe"), "the response to another request: {}", shown());
    let is_origins = scripted.bytes.is_some_and(|bytes| contains(bytes, b" 503"));
    assert!(is_origins || !contains(&response, b"HTTP/1.1 503"), "a fault of consentry: {}", shown());
    let complete = || received.iter().filter(|received| received.is_complete).map(|it| &it.request);
    assert!(are_sent(&sent, complete()), "not sent, or out of order: {}", shown());
    for ReceivedRequest { request, .. } in received.iter().filter(|received| !received.is_complete) {
        let mut begun = sent.iter().chain(&broken);
        assert!(begun.any(|sent| begins(sent, request)), "not begun: {}", shown());
    }
    if scripted.bytes.is_none() && !scripted.closes && !scripted.is_early {
        let plain = sent.iter().take_while(|request| is_plain(request)).count();
        let exact = complete()
            .take(plain)
            .zip(&sent)
            .filter(|(received, sent)| is_same(sent, received))
            .count();
        assert_eq!(exact, plain, "requests are missing: {}", shown());
        let mut rest = &response[..];
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
        let (response, received) = self.origin.exchange(self.service, client, &ScriptedResponse::default());
        let shown = || format!("{}\ngot {}", show(&received), response.escape_ascii());
        let is_probe = |received: &ReceivedRequest| received.request.target == target.as_bytes();
        assert!(
            !received.is_empty() && received.iter().all(is_probe),
            "another request: {}",
            shown()
        );
        let (head, body) = response.split_at(response.len().saturating_sub(target.len()));
        let is_own = body == target.as_bytes() && head.ends_with(b"\r\n\r\n");
        assert!(
            is_own && response.starts_with(b"HTTP/1.1 200"),
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

/// Whether the received requests are the sent requests, in order. Consentry may respond to requests
/// itself, and may retry an idempotent request without a body before the next one.
fn are_sent<'a>(sent: &[Request], received: impl Iterator<Item = &'a Request>) -> bool {
    // Requests can be equal. These are all possible indices of the last received request.
    let mut ends = vec![0];
    for request in received {
        let may_repeat = request.is_idempotent() && request.body.is_empty();
        let may_end = |end: &usize| {
            let is_reachable = |before: &usize| before < end || before == end && may_repeat;
            *end > 0 && is_same(&sent[end - 1], request) && ends.iter().any(is_reachable)
        };
        ends = (1..=sent.len()).filter(may_end).collect();
    }
    !ends.is_empty()
}

fn is_same(sent: &Request, received: &Request) -> bool {
    begins(sent, received) && sent.body.len() == received.body.len()
}

fn begins(sent: &Request, received: &Request) -> bool {
    sent.method == received.method
        && sent.origin_form() == received.origin_form()
        && sent.body.starts_with(&received.body)
}

/// Whether consentry has no reason to respond to a request itself, or to close the connection after it.
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

fn show(received: &[ReceivedRequest]) -> String {
    let lines = received.iter().map(|ReceivedRequest { request, is_complete }| {
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
