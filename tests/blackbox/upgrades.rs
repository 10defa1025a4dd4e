//! WebSocket and other upgrades: the 101 response passes the filter, then bytes pass in both directions.

use std::io::{Read, Write};

use crate::support::{Origin, Proxy, request};

const WANTED: [(&str, &str); 3] =
    [("Connection", "keep-alive, Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Key", "x")];

fn echo() -> Origin {
    Origin::scripted(|_, stream| {
        let _ = stream.write_all(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
              Set-Cookie: sessionid=1\r\nSet-Cookie: _ga=1\r\nSec-WebSocket-Accept: y\r\n\r\n",
        );
        let mut bytes = [0; 1024];
        while let Ok(count @ 1..) = stream.read(&mut bytes) {
            if stream.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        false
    })
}

#[test]
fn an_upgrade_passes_with_filtered_cookies_then_forwards_bytes_in_both_directions() {
    let origin = echo();
    let proxy = Proxy::start(&origin, "");
    let mut client = proxy.connect();
    client.send(&request(
        "GET",
        "/chat",
        &[WANTED[0], WANTED[1], WANTED[2], ("Cookie", "PHPSESSID=1; _ga=1")],
    ));
    let reply = client.reply("GET");
    assert_eq!(reply.status, 101);
    assert_eq!(reply.set_cookies(), ["sessionid=1"]);
    assert_eq!(reply.field("upgrade").as_deref(), Some("websocket"));
    assert_eq!(
        reply.field("connection").map(|value| value.to_lowercase()).as_deref(),
        Some("upgrade")
    );
    assert_eq!(reply.field("sec-websocket-accept").as_deref(), Some("y"));
    let received = origin.next_request();
    assert_eq!(received.field("upgrade").as_deref(), Some("websocket"));
    assert_eq!(received.field("cookie").as_deref(), Some("PHPSESSID=1"));
    for message in [&b"ping"[..], b"\x00\xff\r\n\r\n", &[7; 100_000]] {
        client.send(message);
        assert_eq!(client.bytes(message.len()), message);
    }
    drop(client);
    origin.next_closed_connection();
}

#[test]
fn a_half_close_by_the_origin_reaches_the_client() {
    let origin = Origin::scripted(|_, stream| {
        let _ = stream.write_all(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nbye",
        );
        false
    });
    let proxy = Proxy::start(&origin, "");
    let mut client = proxy.connect();
    client.send(&request("GET", "/", &[("Connection", "upgrade"), ("Upgrade", "x")]));
    assert_eq!(client.reply("GET").status, 101);
    assert_eq!(client.bytes(3), b"bye");
    client.shutdown_write();
    assert_eq!(client.closed(), b"");
}

#[test]
fn a_refused_upgrade_is_an_ordinary_response() {
    let origin = Origin::responding(
        "HTTP/1.1 403 Forbidden\r\nSet-Cookie: _ga=1\r\nContent-Length: 2\r\n\r\nno",
    );
    let proxy = Proxy::start(&origin, "");
    let mut client = proxy.connect();
    for _ in 0..2 {
        client.send(&request("GET", "/", &WANTED));
        let reply = client.reply("GET");
        assert_eq!(
            (reply.status, reply.text().as_str(), reply.set_cookies().len()),
            (403, "no", 0)
        );
    }
}

#[test]
fn upgrades_to_another_http_version_are_never_forwarded() {
    let origin = Origin::responding("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let proxy = Proxy::start(&origin, "");
    for protocol in ["h2c", "HTTP/2.0", "TLS/1.2", "websocket, h2c"] {
        let reply = proxy.get(
            "/",
            &[
                ("Connection", "Upgrade, HTTP2-Settings"),
                ("Upgrade", protocol),
                ("HTTP2-Settings", "x"),
            ],
        );
        assert_eq!(reply.status, 200);
        let received = origin.next_request();
        assert_eq!(
            (received.field("upgrade"), received.field("http2-settings")),
            (None, None),
            "{protocol}"
        );
    }
}

#[test]
fn an_unrequested_101_gives_502() {
    let origin = Origin::responding(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    );
    assert_eq!(Proxy::start(&origin, "").get("/", &[]).status, 502);
}
