//! The whole service in this process, in front of a scripted origin. It uses real sockets on loopback, because the
//! service opens its own.

pub mod proxy;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::time::Duration;

/// The origin's response, and the last head that it received.
static SCRIPTED: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static REACHED: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Starts the origin and the service, with these config lines in addition to the default ones.
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
                let scripted = SCRIPTED.lock().expect("a lock").clone();
                let _ = stream.write_all(&scripted);
                let _ = stream.shutdown(Shutdown::Write);
                let _ = stream.read(&mut chunk);
            });
        }
    });
    proxy::start(upstream, keys)
}

/// Sends bytes on a new connection and half-closes it. The origin responds with `scripted`. Returns the response, and
/// the head that reached the origin. If the request was rejected, the head may be that of the previous exchange.
pub fn exchange(service: SocketAddr, bytes: &[u8], scripted: &[u8]) -> (Vec<u8>, Vec<u8>) {
    *SCRIPTED.lock().expect("a lock") = scripted.to_vec();
    REACHED.lock().expect("a lock").clear();
    let mut client = TcpStream::connect(service).expect("it listens");
    client.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    let _ = client.write_all(bytes);
    let _ = client.shutdown(Shutdown::Write);
    let mut received = Vec::new();
    match client.read_to_end(&mut received) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("the connection does not end"),
        _ => {}
    }
    let by_origin = scripted.windows(4).any(|window| window == b" 503");
    assert!(by_origin || !received.starts_with(b"HTTP/1.1 503"), "an internal error: {}", received.escape_ascii());
    (received, REACHED.lock().expect("a lock").clone())
}

/// The values of the fields of this name in bytes that start with a head.
pub fn fields<'a>(bytes: &'a [u8], name: &str) -> Vec<&'a [u8]> {
    let end = bytes.windows(4).position(|end| end == b"\r\n\r\n").unwrap_or(bytes.len());
    let lines = bytes[..end].split(|byte| *byte == b'\n');
    lines
        .filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            line[..colon].eq_ignore_ascii_case(name.as_bytes()).then(|| line[colon + 1..].trim_ascii())
        })
        .collect()
}
