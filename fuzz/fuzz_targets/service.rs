//! The whole service on arbitrary octets from both sides: the first octet says how many are the visitor's, the rest are the
//! origin's answer. Real sockets on loopback, for the service opens its own.
//!
//! The laws are the oracle: nothing panics, without consent no tracker's cookie reaches either side, a necessary one of a well-formed
//! answer does, and memory stays bounded.

#![no_main]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use consentry::app;
use consentry::config::{self, Overrides};
use consentry::cookie::{SetCookie, pairs};
use libfuzzer_sys::fuzz_target;

/// What the origin answers with, and what it has got.
static ANSWER: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static REACHED: Mutex<Vec<u8>> = Mutex::new(Vec::new());

static SERVICE: LazyLock<SocketAddr> = LazyLock::new(|| {
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
    let toml = format!(
        "workers = 1\nlisten = {{ http = '127.0.0.1:0', admin = 'off' }}\n[log]\naccess = false\nlevel = 'error'\n\
         [timeouts]\nfirst_byte = '200ms'\nrequest_head = '200ms'\nidle = '200ms'\n[banner]\nenabled = true\n\
         [[site]]\nhosts = ['*']\nupstream = 'http://{upstream}'"
    );
    let config = config::parse(&toml, None, &Overrides::default()).expect("a valid config");
    let bound = app::build(config).expect("it can be built");
    let address = bound.addresses().http.expect("a port");
    std::thread::spawn(move || bound.run_until(std::future::pending()));
    address
});

/// The values of the fields of this name in octets that begin with a head.
fn fields<'a>(octets: &'a [u8], name: &str) -> Vec<&'a [u8]> {
    let end = octets.windows(4).position(|end| end == b"\r\n\r\n").unwrap_or(octets.len());
    let lines = octets[..end].split(|octet| *octet == b'\n');
    lines
        .filter_map(|line| {
            let colon = line.iter().position(|octet| *octet == b':')?;
            line[..colon].eq_ignore_ascii_case(name.as_bytes()).then(|| line[colon + 1..].trim_ascii())
        })
        .collect()
}

fuzz_target!(|octets: &[u8]| {
    let Some((first, rest)) = octets.split_first() else { return };
    let (request, answer) = rest.split_at((usize::from(*first) * 4).min(rest.len()));
    *ANSWER.lock().expect("a lock") = answer.to_vec();
    REACHED.lock().expect("a lock").clear();
    let mut visitor = TcpStream::connect(*SERVICE).expect("it listens");
    visitor.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    let _ = visitor.write_all(request);
    let _ = visitor.shutdown(Shutdown::Write);
    let mut got = Vec::new();
    match visitor.read_to_end(&mut got) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("the connection does not end"),
        _ => {}
    }
    assert!(!got.starts_with(b"HTTP/1.1 503"), "a fault of our own: {}", got.escape_ascii());
    if octets.windows(9).any(|window| window == b"consentry") {
        return;
    }
    let reached = REACHED.lock().expect("a lock").clone();
    let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs() as i64 + 1;
    for line in fields(&got, "set-cookie") {
        let cookie = SetCookie::parse(line);
        assert!(cookie.name != b"_ga" || cookie.scope().deletes(now), "a tracker is set: {}", got.escape_ascii());
    }
    for field in fields(&reached, "cookie") {
        assert!(pairs(field).all(|pair| pair.name != b"_ga"), "a tracker is sent: {}", reached.escape_ascii());
    }
    let whole = b"HTTP/1.1 200 OK\r\nSet-Cookie: PHPSESSID=1\r\nContent-Length: 0\r\n\r\n";
    if answer == whole && got.starts_with(b"HTTP/1.1 200") && !reached.is_empty() {
        assert!(fields(&got, "set-cookie").contains(&&b"PHPSESSID=1"[..]), "necessary passes: {}", got.escape_ascii());
    }
});
