//! HTTP/2 retries: a request that the upstream reports as unprocessed is retried, whatever the method. A silent
//! connection gets no further request (RFC 9113 sections 6.7, 6.8 and 8.7).

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::http2_hostile::{
    DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE,
    block, frame, next_frame,
};
use crate::support::{Proxy, TIMEOUT, request};

const ACK: u8 = 1;
const REFUSED_STREAM: [u8; 4] = [0, 0, 0, 7];

/// The part of a request that an upstream has received.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ReceivedRequest {
    /// The index of the connection.
    connection: usize,
    stream: u32,
    body: String,
    ended: bool,
}

type Script = Box<dyn Fn(&ReceivedRequest) -> Vec<u8> + Send + Sync>;

/// An upstream that responds with scripted frames, and reports the requests.
struct Upstream {
    address: SocketAddr,
    requests: Mutex<Receiver<ReceivedRequest>>,
}

impl Upstream {
    fn start(script: impl Fn(&ReceivedRequest) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (request_sender, received) = channel();
        let script: Arc<Script> = Arc::new(Box::new(script));
        let count = AtomicUsize::new(0);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, script, request_sender) =
                    (stream.unwrap(), Arc::clone(&script), request_sender.clone());
                let connection = count.fetch_add(1, Relaxed);
                thread::spawn(move || serve(&mut stream, connection, &script, &request_sender));
            }
        });
        Self { address, requests: Mutex::new(received) }
    }

    fn proxy(&self, more: &str) -> Proxy {
        Proxy::start_with(&format!(
            "workers = 1\n{more}\n[[site]]\nhosts = ['*']\nupstream = 'h2c://{}'",
            self.address
        ))
    }

    /// Waits for a PING on this connection.
    fn wait_for_ping(&self, connection: usize) {
        let received = self.requests.lock().unwrap();
        let ping = |received: ReceivedRequest| {
            received.connection == connection && received.body == "PING"
        };
        while !ping(received.recv_timeout(TIMEOUT).unwrap()) {}
    }

    /// Connection and body of each complete request so far.
    fn complete_requests(&self) -> Vec<(usize, String)> {
        let received = self.requests.lock().unwrap();
        received
            .try_iter()
            .filter(|received| received.ended)
            .map(|received| (received.connection, received.body))
            .collect()
    }
}

fn serve(
    stream: &mut TcpStream,
    connection: usize,
    script: &Script,
    request_sender: &Sender<ReceivedRequest>,
) -> Option<()> {
    stream.read_exact(&mut [0; 24]).ok()?;
    // A window of 1 MiB for each stream and for the connection.
    let window = 1_u32 << 20;
    let settings = [&[0, 4][..], &window.to_be_bytes()].concat();
    stream.write_all(&frame(SETTINGS, 0, 0, &settings)).ok()?;
    stream.write_all(&frame(WINDOW_UPDATE, 0, 0, &window.to_be_bytes())).ok()?;
    let mut requests = HashMap::<u32, ReceivedRequest>::new();
    while let Some((kind, flags, of, payload)) = next_frame(stream) {
        match kind {
            SETTINGS if flags & ACK == 0 => {
                stream.write_all(&frame(SETTINGS, ACK, 0, &[])).ok()?;
            }
            HEADERS | DATA => {
                let new =
                    ReceivedRequest { connection, stream: of, body: String::new(), ended: false };
                let received = requests.entry(of).or_insert(new);
                if kind == DATA {
                    received.body.push_str(&String::from_utf8(payload).unwrap());
                }
                received.ended = flags & END_STREAM != 0;
                request_sender.send(received.clone()).ok()?;
                stream.write_all(&script(received)).ok()?;
            }
            PING => {
                request_sender
                    .send(ReceivedRequest {
                        connection,
                        stream: 0,
                        body: "PING".into(),
                        ended: true,
                    })
                    .ok()?;
                if connection > 0 {
                    stream.write_all(&frame(PING, ACK, 0, &payload)).ok()?;
                }
            }
            _ => {}
        }
    }
    Some(())
}

fn respond_200(received: &ReceivedRequest) -> Vec<u8> {
    if !received.ended {
        return Vec::new();
    }
    let head = block(&[(":status", "200"), ("content-length", "4")]);
    let head = frame(HEADERS, END_HEADERS, received.stream, &head);
    [head, frame(DATA, END_STREAM, received.stream, b"good")].concat()
}

fn refuse_stream(received: &ReceivedRequest) -> Vec<u8> {
    frame(RST_STREAM, 0, received.stream, &REFUSED_STREAM)
}

/// A GOAWAY with this last stream.
fn goaway(last: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last.to_be_bytes(), [0; 4]].concat())
}

fn status(proxy: &Proxy, method: &str, body: &str) -> u16 {
    let mut client = proxy.connect();
    let length = body.len().to_string();
    client.send(&request(method, "/", &[("Content-Length", &length)]));
    client.send(body.as_bytes());
    client.reply(method).status
}

#[test]
fn an_unprocessed_request_is_retried_for_any_method_and_body() {
    let refusals: [(&str, fn(&ReceivedRequest) -> Vec<u8>); 2] =
        [("a refused stream", refuse_stream), ("a GOAWAY before it", |_| goaway(0))];
    for (what, refuse) in refusals {
        for (method, body) in [("POST", "a=1&b=2"), ("PATCH", "{}"), ("DELETE", ""), ("POST", "")] {
            let upstream =
                Upstream::start(move |received| match (received.connection, received.ended) {
                    (0 | 1, true) => refuse(received),
                    (0 | 1, false) => Vec::new(),
                    _ => respond_200(received),
                });
            let proxy = upstream.proxy("");
            assert_eq!(status(&proxy, method, body), 200, "{what}: {method} {body:?}");
            let expected: Vec<_> = (0..3).map(|connection| (connection, body.to_owned())).collect();
            assert_eq!(upstream.complete_requests(), expected, "{what}: {method} {body:?}");
        }
    }
}

#[test]
fn a_request_on_a_connection_with_goaway_is_retried() {
    let upstream =
        Upstream::start(|received| match (received.connection, received.stream, received.ended) {
            (0, 3.., true) => goaway(1),
            _ => respond_200(received),
        });
    let proxy = upstream.proxy("");
    assert_eq!(status(&proxy, "POST", "one"), 200);
    assert_eq!(status(&proxy, "POST", "two"), 200);
    let expected = [(0, "one"), (0, "two"), (1, "two")];
    assert_eq!(
        upstream.complete_requests(),
        expected.map(|(connection, body)| (connection, body.to_owned()))
    );
}

#[test]
fn a_rejected_body_is_resent_from_its_start() {
    let upstream =
        Upstream::start(|received| match (received.connection, received.body.as_str()) {
            (0, "first ") => refuse_stream(received),
            (0, _) => Vec::new(),
            _ => respond_200(received),
        });
    let proxy = upstream.proxy("");
    let mut client = proxy.connect();
    client.send(&request("POST", "/", &[("Content-Length", "11")]));
    client.send(b"first ");
    let received = upstream.requests.lock().unwrap();
    while received.recv_timeout(TIMEOUT).unwrap().connection == 0 {}
    client.send(b"later");
    assert_eq!(client.reply("POST").status, 200);
    let last = received.try_iter().last().unwrap();
    assert_eq!((last.connection, last.body.as_str()), (1, "first later"));
}

#[test]
fn a_request_that_may_have_been_processed_is_not_retried() {
    let unsafe_to_repeat: [(&str, fn(&ReceivedRequest) -> Vec<u8>); 3] = [
        ("a GOAWAY after it", |received| goaway(received.stream)),
        ("an internal error", |received| frame(RST_STREAM, 0, received.stream, &[0, 0, 0, 2])),
        ("a cancelled stream", |received| frame(RST_STREAM, 0, received.stream, &[0, 0, 0, 8])),
    ];
    for (what, script) in unsafe_to_repeat {
        let upstream = Upstream::start(move |received| match received.ended {
            true => script(received),
            false => Vec::new(),
        });
        let proxy = upstream.proxy("timeouts.first_byte = '1s'");
        assert!(status(&proxy, "POST", "a=1") >= 502, "{what}");
        assert_eq!(upstream.complete_requests(), [(0, "a=1".to_owned())], "{what}");
    }
}

#[test]
fn a_body_is_buffered_for_retries_up_to_64_kib_and_a_request_sent_up_to_three_times() {
    for (length, attempts) in [(64 * 1024, 3), (64 * 1024 + 1, 1)] {
        let upstream = Upstream::start(|received| match received.ended {
            true => refuse_stream(received),
            false => Vec::new(),
        });
        let proxy = upstream.proxy("");
        let body = "x".repeat(length);
        assert_eq!(status(&proxy, "POST", &body), 502, "{length}");
        let whole = upstream.complete_requests();
        assert!(whole.iter().all(|(_, received)| *received == body), "{length}");
        assert_eq!(whole.len(), attempts, "{length}");
    }
}

#[test]
fn a_connection_is_pinged_after_a_timeout_and_unused_until_the_reply() {
    // The first connection is dead. On the second one a response is missing.
    let upstream =
        Upstream::start(|received| match (received.connection, received.body.as_str()) {
            (0, _) | (_, "hangs") => Vec::new(),
            _ => respond_200(received),
        });
    let proxy = upstream.proxy("timeouts.first_byte = '1s'");
    assert_eq!(status(&proxy, "GET", ""), 504);
    upstream.wait_for_ping(0);
    for _ in 0..3 {
        assert_eq!(status(&proxy, "GET", ""), 200);
    }
    let connections: Vec<_> =
        upstream.complete_requests().into_iter().map(|(connection, _)| connection).collect();
    assert_eq!(connections, [1, 1, 1]);
    assert_eq!(status(&proxy, "POST", "hangs"), 504);
    upstream.wait_for_ping(1);
    // Until the reply to the PING has been read, requests use other connections.
    proxy.wait_until("the connection is used again", || {
        assert_eq!(status(&proxy, "GET", ""), 200);
        upstream.complete_requests().last().is_some_and(|(connection, _)| *connection == 1)
    });
    assert!(!proxy.log().contains("PING"), "{}", proxy.log());
}
