//! An origin and a client without threads. The fuzzer polls both, so nothing is in flight once a poll makes no
//! progress.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::message::{self, Kind, Outcome};
use crate::strict::{self, Next, Request};

/// A connection that is open for longer hangs, because every timeout of the service is far shorter.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A client half-closes its connection after this time without received bytes.
const QUIET: Duration = Duration::from_millis(20);

/// The bytes that a client sends.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    pub bytes: &'a [u8],
    /// Half-close the connection after these responses, or immediately if there are none.
    pub responses: &'a [Kind],
}

/// The response of the origin.
#[derive(Debug, Default)]
pub struct ScriptedResponse<'a> {
    /// `None` for a well-formed response that counts the requests.
    pub bytes: Option<&'a [u8]>,
    /// Close the connection after the response.
    pub closes: bool,
    /// Respond after the head of a request.
    pub is_early: bool,
}

/// A request received by the origin.
#[derive(Debug)]
pub struct ReceivedRequest {
    pub request: Request,
    /// The body is complete.
    pub is_complete: bool,
}

struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
    /// 100 (Continue) has been sent for the request in flight.
    is_continued: bool,
    /// The response to the request in flight has been sent.
    has_responded: bool,
    /// The connection is a tunnel after 101.
    is_tunnel: bool,
    is_open: bool,
}

pub struct Origin {
    poll: Poll,
    events: Events,
    listener: TcpListener,
    connections: Vec<Connection>,
    received: Vec<ReceivedRequest>,
}

impl Origin {
    pub fn new() -> Self {
        let mut listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).expect("a port");
        let poll = Poll::new().expect("a poll");
        poll.registry().register(&mut listener, Token(0), Interest::READABLE).expect("registered");
        Self {
            poll,
            events: Events::with_capacity(64),
            listener,
            connections: Vec::new(),
            received: Vec::new(),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("an address")
    }

    /// Sends a client's bytes to the service on a new connection. Returns the response bytes, and the requests that
    /// reach the origin meanwhile.
    pub fn exchange(
        &mut self,
        service: SocketAddr,
        client: Client,
        scripted: &ScriptedResponse,
    ) -> (Vec<u8>, Vec<ReceivedRequest>) {
        let stream = std::net::TcpStream::connect(service).expect("it listens");
        stream.set_nonblocking(true).expect("a socket");
        let mut stream = TcpStream::from_std(stream);
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(1), both).expect("registered");
        let (mut unsent, mut response) = (client.bytes, Vec::new());
        let (mut is_open, mut is_half_closed, mut is_quiet) = (true, false, false);
        while is_open {
            let mut progress = self.step(scripted);
            match stream.write(unsent) {
                Ok(0) => {}
                Ok(count) => {
                    unsent = &unsent[count..];
                    progress = true;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => unsent = &[],
            }
            let (new, open) = read(&mut stream, &mut response);
            (progress, is_open) = (progress || new, open);
            let is_done =
                is_quiet || client.responses.is_empty() || has_responses(&response, client.responses);
            if unsent.is_empty() && !is_half_closed && is_done {
                let _ = stream.shutdown(Shutdown::Write);
                is_half_closed = true;
            }
            if is_open && !progress {
                let timeout = if is_half_closed { TIMEOUT } else { QUIET };
                self.poll.poll(&mut self.events, Some(timeout)).expect("a poll");
                is_quiet = self.events.is_empty();
                let bytes = client.bytes;
                assert!(
                    !(is_quiet && is_half_closed),
                    "the connection does not end: {}",
                    bytes.escape_ascii()
                );
            }
        }
        drop(stream);
        while self.step(scripted) {}
        self.close_incomplete();
        (response, std::mem::take(&mut self.received))
    }

    /// Does all work that is possible without waiting. Returns whether there was any.
    fn step(&mut self, scripted: &ScriptedResponse) -> bool {
        let mut progress = false;
        while let Ok((mut stream, _)) = self.listener.accept() {
            self.poll
                .registry()
                .register(&mut stream, Token(2), Interest::READABLE)
                .expect("registered");
            self.connections.push(Connection {
                stream,
                unread: Vec::new(),
                is_continued: false,
                has_responded: false,
                is_tunnel: false,
                is_open: true,
            });
            progress = true;
        }
        for connection in &mut self.connections {
            let (new, open) = read(&mut connection.stream, &mut connection.unread);
            progress |= new;
            connection.parse(scripted, &mut self.received);
            connection.is_open &= open;
        }
        // Incomplete requests are parsed at the end of the exchange.
        self.connections.retain(|connection| connection.is_open || !connection.unread.is_empty());
        progress
    }

    /// Closes the connections with an incomplete request, and records the request.
    fn close_incomplete(&mut self) {
        for connection in
            self.connections.extract_if(.., |connection| !connection.unread.is_empty())
        {
            if let Next::BrokenBody(request) = strict::next(&connection.unread) {
                self.received.push(ReceivedRequest { request, is_complete: false });
            }
        }
    }
}

impl Connection {
    fn parse(&mut self, scripted: &ScriptedResponse, received: &mut Vec<ReceivedRequest>) {
        while !self.unread.is_empty() {
            if self.is_tunnel {
                self.unread.clear();
                return;
            }
            let (request, length) = match strict::next(&self.unread) {
                Next::Complete(request, length) => (request, length),
                Next::BrokenBody(request) => {
                    let expects = request.values("expect").next().is_some();
                    if expects && !std::mem::replace(&mut self.is_continued, true) {
                        let _ = self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
                    }
                    if scripted.is_early && !std::mem::replace(&mut self.has_responded, true) {
                        self.respond(&request, received.len(), scripted);
                    }
                    return;
                }
                Next::CutHead => return,
                Next::Invalid => {
                    panic!("the origin gets no request: {}", self.unread.escape_ascii())
                }
            };
            let shown = self.unread.escape_ascii();
            assert!(
                !request.has_bare_lf && self.unread[0] != b'\r' && request.minor == 1,
                "not canonical: {shown}"
            );
            let lengths = request.values("content-length").count();
            let codings = request.values("transfer-encoding").count();
            assert!(lengths + codings <= 1, "framed twice: {shown}");
            self.unread.drain(..length);
            self.is_continued = false;
            if !std::mem::take(&mut self.has_responded) {
                self.respond(&request, received.len(), scripted);
            }
            received.push(ReceivedRequest { request, is_complete: true });
        }
    }

    /// Responds, and closes the connection if the end of the response is not certain.
    fn respond(&mut self, request: &Request, number: usize, scripted: &ScriptedResponse) {
        let is_probe = request.target.starts_with(b"/probe");
        let counted = match is_probe {
            true => counted(&request.target),
            false => counted(format!("answer {number}").as_bytes()),
        };
        let bytes = scripted.bytes.filter(|_| !is_probe).unwrap_or(&counted);
        let _ = self.stream.write_all(bytes);
        let kind =
            if request.method == b"HEAD" { Kind::ResponseToHead } else { Kind::ResponseToGet };
        let status = final_status(kind, bytes);
        self.is_tunnel = status.as_deref() == Some(b"101");
        if !is_probe && (scripted.closes || status.is_none()) || self.is_tunnel {
            let _ = self.stream.shutdown(Shutdown::Write);
        }
    }
}

/// A response with this body.
pub fn counted(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Whether the bytes contain responses to these requests.
fn has_responses(mut bytes: &[u8], kinds: &[Kind]) -> bool {
    kinds.iter().all(|kind| {
        loop {
            let (Outcome::Complete(message), length) = message::parse(*kind, bytes) else {
                return false;
            };
            bytes = &bytes[length..];
            if !message.start.starts_with(b"1") {
                return true;
            }
        }
    })
}

/// The status of the first final response, or 101. `None` if the response ends only with the connection.
fn final_status(kind: Kind, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut rest = &[bytes, b"x"].concat()[..];
    loop {
        let (Outcome::Complete(message), length) = message::parse(kind, rest) else { return None };
        if length == rest.len() {
            return None;
        }
        if !message.start.starts_with(b"1") || message.start == b"101" {
            return Some(message.start);
        }
        rest = &rest[length..];
    }
}

/// Reads the available bytes. Returns whether there were any, and whether more can arrive.
fn read(stream: &mut TcpStream, into: &mut Vec<u8>) -> (bool, bool) {
    let (mut chunk, mut new) = ([0; 16 * 1024], false);
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return (new, false),
            Ok(count) => into.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return (new, true),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return (new, false),
        }
        new = true;
    }
}
