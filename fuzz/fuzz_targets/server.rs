//! The whole service in this process, in front of an origin that answers what it is told to. Real sockets on loopback, for the
//! service opens its own.

pub mod proxy;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::time::Duration;

/// What the origin answers with, and what it has got.
static ANSWER: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static REACHED: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Starts both, the service with these keys in front of those that it has anyway.
pub fn start(keys: &str) -> SocketAddr {
    let origin = TcpListener::bind("127.0.0.1:0").expect("a port");
    let upstream = origin.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in origin.incoming() {
            let mut stream = stream.expect("a connection");
            std::thread::spawn(move || {
                stream.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
                let (mut head, mut chunk) = (Vec::new(), [0; 4096]);
                while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                    match stream.read(&mut chunk) {
                        Ok(0) | Err(_) => break,
                        Ok(count) => head.extend_from_slice(&chunk[..count]),
                    }
                }
                REACHED.lock().expect("a lock").extend_from_slice(&head);
                let answer = ANSWER.lock().expect("a lock").clone();
                let _ = stream.write_all(&answer);
                let _ = stream.shutdown(Shutdown::Write);
                let _ = stream.read(&mut chunk);
            });
        }
    });
    proxy::start(upstream, keys)
}

/// Sends octets on a connection of their own, which is half closed then, while the origin answers with `answer`. What came back, and
/// the head that reached the origin; where the visitor was refused before that, perhaps the one of the exchange before.
pub fn exchange(service: SocketAddr, octets: &[u8], answer: &[u8]) -> (Vec<u8>, Vec<u8>) {
    *ANSWER.lock().expect("a lock") = answer.to_vec();
    REACHED.lock().expect("a lock").clear();
    let mut visitor = TcpStream::connect(service).expect("it listens");
    visitor.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    let _ = visitor.write_all(octets);
    let _ = visitor.shutdown(Shutdown::Write);
    let mut got = Vec::new();
    match visitor.read_to_end(&mut got) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("the connection does not end"),
        _ => {}
    }
    let by_origin = answer.windows(4).any(|window| window == b" 503");
    assert!(by_origin || !got.starts_with(b"HTTP/1.1 503"), "a fault of our own: {}", got.escape_ascii());
    (got, REACHED.lock().expect("a lock").clone())
}

/// The values of the fields of this name in octets that begin with a head.
pub fn fields<'a>(octets: &'a [u8], name: &str) -> Vec<&'a [u8]> {
    let end = octets.windows(4).position(|end| end == b"\r\n\r\n").unwrap_or(octets.len());
    let lines = octets[..end].split(|octet| *octet == b'\n');
    lines
        .filter_map(|line| {
            let colon = line.iter().position(|octet| *octet == b':')?;
            line[..colon].eq_ignore_ascii_case(name.as_bytes()).then(|| line[colon + 1..].trim_ascii())
        })
        .collect()
}
