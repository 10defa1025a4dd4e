//! Hostile HTTP/2 frames from clients: malformed requests reach no origin, and floods neither exhaust memory nor
//! starve other clients (RFC 9113 sections 8.1.1 and 10.5).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::{Origin, Proxy, TIMEOUT};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A field block, each field as a literal without indexing (RFC 7541 section 6.2.2).
pub fn block<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: &[(N, V)]) -> Vec<u8> {
    fn string(bytes: &[u8]) -> Vec<u8> {
        let mut coded = match bytes.len() {
            short @ 0..127 => vec![u8::try_from(short).unwrap()],
            long => {
                let mut coded = vec![127];
                let mut rest = long - 127;
                while rest >= 128 {
                    coded.push(u8::try_from(rest % 128).unwrap() | 128);
                    rest /= 128;
                }
                coded.push(u8::try_from(rest).unwrap());
                coded
            }
        };
        coded.extend(bytes);
        coded
    }
    let field =
        |(name, value): &(N, V)| [vec![0], string(name.as_ref()), string(value.as_ref())].concat();
    fields.iter().flat_map(field).collect()
}

pub fn get(path: &str) -> Vec<(&'static str, String)> {
    vec![
        (":method", "GET".to_owned()),
        (":scheme", "http".to_owned()),
        (":authority", "shop.example".to_owned()),
        (":path", path.to_owned()),
    ]
}

/// Type, flags, stream and payload of the next frame. `None` at the end of the connection.
pub fn next_frame(stream: &mut TcpStream) -> Option<(u8, u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; length as usize];
    stream.read_exact(&mut payload).ok()?;
    let of = u32::from_be_bytes(head[5..9].try_into().unwrap());
    Some((head[3], head[4], of, payload))
}

/// An HTTP/2 connection after the connection preface.
pub struct Connection(pub TcpStream);

impl Connection {
    pub fn open(proxy: &Proxy) -> Self {
        let mut stream = TcpStream::connect(proxy.address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        stream.write_all(&frame(SETTINGS, 0, 0, &[])).unwrap();
        Self(stream)
    }

    /// Whether the bytes were accepted: a connection may be closed in the middle of a flood.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    pub fn next(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        next_frame(&mut self.0)
    }

    /// Reads until the proxy ends the stream or the connection.
    fn expect_rejection(&mut self, stream: u32, shown: &str) {
        loop {
            match self.next() {
                None | Some((GOAWAY, ..)) => return,
                Some((RST_STREAM, _, of, _)) if of == stream => return,
                // Or an error response such as 400: the first byte of the block shows the status.
                Some((HEADERS, _, of, payload)) if of == stream => {
                    // 0x88 is `:status 200` of the static table (RFC 7541, appendix A).
                    assert_ne!(payload.first(), Some(&0x88), "{shown}");
                    return;
                }
                Some(_) => {}
            }
        }
    }

    /// The next frame. `Some(None)` if none starts within the read timeout, `None` at the end of the connection.
    pub fn try_next(&mut self) -> Option<Option<(u8, u8, u32, Vec<u8>)>> {
        match self.0.peek(&mut [0]) {
            Ok(0) => None,
            Ok(_) => self.next().map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Some(None),
            Err(_) => None,
        }
    }

    /// The status of the response: 200, 431, or 0 for any other.
    fn status(&mut self, stream: u32) -> u16 {
        let head = self.response_head(stream);
        match head.as_slice() {
            // Indexed, or `:status` with the Huffman-coded text "431" (RFC 7541 sections 6.1, 6.2 and 5.2).
            [0x88, ..] => 200,
            [0x08 | 0x48, 0x83, 0x69, 0x90, 0xff, ..] => 431,
            _ => 0,
        }
    }

    /// Waits for a response head.
    pub fn response_head(&mut self, stream: u32) -> Vec<u8> {
        loop {
            match self.next() {
                Some((HEADERS, _, of, head)) if of == stream => return head,
                Some(_) => {}
                None => panic!("no response on stream {stream}"),
            }
        }
    }

    /// Whether a request gets 200.
    fn is_served(&mut self, stream: u32) -> bool {
        self.is_served_at(stream, "/well")
    }

    /// Whether a request for a path gets 200.
    pub fn is_served_at(&mut self, stream: u32, path: &str) -> bool {
        let request = frame(HEADERS, END_STREAM | END_HEADERS, stream, &block(&get(path)));
        if !self.send(&request) {
            return false;
        }
        loop {
            match self.next() {
                Some((HEADERS, _, of, payload)) if of == stream => {
                    return payload.first() == Some(&0x88);
                }
                None | Some((GOAWAY, ..)) => return false,
                Some(_) => {}
            }
        }
    }
}

#[test]
fn malformed_requests_never_reach_the_origin() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    let with = |more: &[(&'static str, &str)]| {
        let mut fields = get("/");
        fields.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        fields
    };
    let without =
        |name: &str| get("/").into_iter().filter(|(other, _)| *other != name).collect::<Vec<_>>();
    let mut cases = vec![
        with(&[(":path", "/two")]),
        with(&[(":method", "POST")]),
        with(&[(":authority", "other.example")]),
        with(&[("x", "1"), (":scheme", "https")]),
        with(&[(":status", "200")]),
        with(&[(":unknown", "1")]),
        with(&[("x", "a\r\nCookie: _ga=1")]),
        with(&[("x", "a\nb")]),
        with(&[("x", "a\u{0}b")]),
        with(&[("x\r\ny", "1")]),
        with(&[("x: y", "1")]),
        with(&[("X-Upper", "1")]),
        with(&[("", "1")]),
        with(&[("connection", "close")]),
        with(&[("proxy-connection", "close")]),
        with(&[("keep-alive", "1")]),
        with(&[("upgrade", "websocket")]),
        with(&[("transfer-encoding", "chunked")]),
        with(&[("te", "gzip")]),
        with(&[("content-length", "5")]),
        with(&[("content-length", "0"), ("content-length", "1")]),
        with(&[("content-length", "+0")]),
        without(":method"),
        without(":path"),
        without(":scheme"),
    ];
    for (name, value) in [
        (":path", ""),
        (":path", "no-slash"),
        (":path", "/ HTTP/1.1\r\nX: 1"),
        (":path", "/a b"),
        (":method", "GET /x HTTP/1.1\r\nA: b\r\n\r\nGET"),
        (":method", ""),
        (":authority", "user@shop.example"),
        (":authority", "shop.example\r\nX: 1"),
        (":authority", "shop.example/path"),
        (":scheme", "ht tp"),
    ] {
        let mut fields = without(name);
        fields.insert(0, (name, value.to_owned()));
        cases.push(fields);
    }
    for fields in cases {
        let shown = format!("{fields:?}");
        let mut connection = Connection::open(&proxy);
        connection.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(&fields)));
        connection.expect_rejection(1, &shown);
        if let Some(received) = origin.try_next_request() {
            panic!("{shown} reached the origin as {received:?}");
        }
    }
}

#[test]
fn a_request_body_of_the_wrong_length_is_an_error() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    for (length, body) in [("5", &b"abc"[..]), ("2", b"abc")] {
        let mut connection = Connection::open(&proxy);
        let mut fields = get("/upload");
        fields[0].1 = "POST".to_owned();
        fields.push(("content-length", length.to_owned()));
        connection.send(&frame(HEADERS, END_HEADERS, 1, &block(&fields)));
        connection.send(&frame(DATA, END_STREAM, 1, body));
        connection.expect_rejection(1, length);
        assert!(origin.received_nothing(), "{length}");
    }
}

#[test]
fn the_forwarded_host_is_always_the_authority() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    let mut connection = Connection::open(&proxy);
    let mut fields = get("/");
    fields.push(("host", "other.example".to_owned()));
    connection.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(&fields)));
    let received = origin.next_request();
    assert_eq!(received.field("host").as_deref(), Some("shop.example"));
}

/// Sends a flood until the proxy ends the connection or has accepted 20,000 messages. Asserts that other clients are
/// served and that peak memory grows by less than 64 MiB.
fn assert_survives_flood(proxy: &Proxy, what: &str, mut bytes: impl FnMut(u32) -> Vec<u8>) {
    let before = proxy.peak_kib();
    let mut connection = Connection::open(proxy);
    connection.0.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    for number in 0..20_000 {
        if !connection.send(&bytes(number)) {
            break;
        }
    }
    assert!(Connection::open(proxy).is_served(1), "{what}: other clients are not served");
    let growth = proxy.peak_kib().saturating_sub(before);
    assert!(growth < 64 * 1024, "{what}: {growth} KiB more");
}

#[test]
fn frame_floods_do_not_exhaust_memory_or_starve_other_connections() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    let request = block(&get("/flood"));
    assert_survives_flood(&proxy, "rapid reset", |number| {
        let stream = number * 2 + 1;
        let reset = frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
        [frame(HEADERS, END_STREAM | END_HEADERS, stream, &request), reset].concat()
    });
    assert_survives_flood(&proxy, "PING", |_| frame(PING, 0, 0, &[0; 8]));
    assert_survives_flood(&proxy, "SETTINGS", |_| frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255]));
    assert_survives_flood(&proxy, "WINDOW_UPDATE", |_| {
        frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes())
    });
    assert_survives_flood(&proxy, "empty DATA", |number| match number {
        0 => frame(HEADERS, END_HEADERS, 1, &request),
        _ => frame(DATA, 0, 1, &[]),
    });
    let mut post = get("/save");
    post[0].1 = "POST".to_owned();
    post.extend([("content-length", "6".to_owned()), ("content-type", "text/plain".to_owned())]);
    let post = block(&post);
    // The proxy waits for the start of this body, because beacon rules match bodies.
    assert_survives_flood(&proxy, "empty DATA of an awaited body", |number| match number {
        0 => frame(HEADERS, END_HEADERS, 1, &post),
        _ => frame(DATA, 0, 1, &[]).repeat(100),
    });
    let long = block(&[("x-long", "y".repeat(8000))]);
    assert_survives_flood(&proxy, "CONTINUATION", |number| match number {
        0 => frame(HEADERS, END_STREAM, 1, &request),
        _ => frame(CONTINUATION, 0, 1, &long),
    });
    assert_survives_flood(&proxy, "empty CONTINUATION", |number| match number {
        0 => frame(HEADERS, END_STREAM, 1, &request),
        _ => frame(CONTINUATION, 0, 1, &[]),
    });
    assert_survives_flood(&proxy, "unknown frames", |_| frame(0xbb, 0, 0, &[0; 1000]));
}

#[test]
fn a_field_repeated_by_index_a_thousand_times_is_too_large() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    let mut connection = Connection::open(&proxy);
    let mut fields = block(&get("/bomb"));
    // A literal with incremental indexing (RFC 7541 section 6.2.1), then its index many times.
    fields.extend([0x40, 1, b'x', 0x7f, 0xa1, 0x1e]);
    fields.extend([b'y'; 4000]);
    fields.extend([0xbe; 4000]);
    connection.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &fields));
    connection.expect_rejection(1, "an HPACK bomb");
    assert!(origin.received_nothing());
    assert!(proxy.peak_kib() < 128 * 1024, "{} KiB", proxy.peak_kib());
}

#[test]
fn more_cookies_than_a_browser_sends_are_rejected_before_any_is_read() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    // One table entry, then references to it: the dynamic table makes the attack cheap.
    let bomb = |cell: &[u8], references: usize| {
        let value: Vec<u8> = cell.iter().copied().cycle().take(3900).collect();
        let mut fields = block(&get("/bomb"));
        fields.extend([0x60, 0x7f, 0xbd, 0x1d]);
        fields.extend(value);
        fields.extend(std::iter::repeat_n(0xbe, references - 1));
        fields
    };
    for (cell, references) in
        [(&b"a=;"[..], 1), (b"a=;", 15), (b";", 15), (b"consentry=1~1~2018-05-25~a~; ", 15)]
    {
        let mut connection = Connection::open(&proxy);
        let fields = bomb(cell, references);
        connection.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &fields));
        assert_eq!(connection.status(1), 431, "{references} of {}", cell.escape_ascii());
    }
    let crumbs = |count: usize| {
        let mut fields = get("/");
        fields.extend((0..count).map(|number| ("cookie", format!("c{number}=1"))));
        let mut connection = Connection::open(&proxy);
        connection.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(&fields)));
        connection.status(1)
    };
    assert_eq!(crumbs(401), 431);
    assert!(origin.received_nothing());
    assert_eq!(crumbs(400), 200);
    let field = |count: usize| vec!["a=1"; count].join("; ");
    assert_eq!(proxy.get("/", &[("Cookie", &field(400))]).status, 200);
    assert_eq!(proxy.get("/", &[("Cookie", &field(401))]).status, 431);
    assert_eq!(proxy.get("/.consentry/", &[("Cookie", &field(401))]).status, 431);
    let two = [("Cookie", field(200)), ("Cookie", field(201))];
    let two: Vec<_> = two.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(proxy.get("/", &two).status, 431);
    let fewer = Proxy::start(&origin, "limits.cookies = 50");
    assert_eq!(fewer.get("/", &[("Cookie", &field(51))]).status, 431);
}

#[test]
fn invalid_frames_close_the_connection() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    for bytes in [
        [255; 64].to_vec(),
        frame(HEADERS, END_HEADERS, 0, &block(&get("/"))),
        frame(HEADERS, END_HEADERS, 2, &block(&get("/"))),
        frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff; 64]),
        frame(DATA, 0, 7, b"abc"),
        frame(SETTINGS, 0, 1, &[]),
        frame(SETTINGS, 0, 0, &[0; 5]),
        frame(PING, 0, 0, &[0; 7]),
        frame(WINDOW_UPDATE, 0, 0, &0_u32.to_be_bytes()),
        frame(CONTINUATION, END_HEADERS, 1, &[]),
        frame(5, 0, 1, &[0; 4]),
    ] {
        let mut connection = Connection::open(&proxy);
        connection.send(&bytes);
        connection.expect_rejection(u32::MAX, "no frames");
        assert!(origin.received_nothing(), "{}", bytes.escape_ascii());
    }
}
