//! Beacons that the start of their body identifies. Only the proxy reads bodies.

use crate::support::{Origin, Proxy, consent_cookie, request};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn the_start_of_the_body_decides_about_posts_to_any_path() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(
        &origin,
        "[[beacon]]\npath = '/api/log'\nbody = '{\"kind\":\"view*'\ncategory = 'analytics'",
    );
    let post = |path: &str, media_type: &str, body: &str, consent: &str| {
        let length = body.len().to_string();
        let fields =
            [("Content-Type", media_type), ("Content-Length", &*length), ("Cookie", consent)];
        let mut client = proxy.connect();
        client.send(&[request("POST", path, &fields), body.into()].concat());
        client.reply("POST").status
    };
    let event = "{\"event_id\":\"1\",\"sent_at\":\"2026-01-01\"}\n{}";
    let snowplow =
        "{\"schema\":\"iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4\"}";
    let umami = "{\"type\":\"event\",\"payload\":{\"website\":\"x\"}}";
    for (path, media_type, body) in [
        ("/api/log", "application/json", "{\"kind\":\"view\"}"),
        ("/x/tunnel", "text/plain;charset=UTF-8", event),
        ("/any", "application/json; charset=utf-8", snowplow),
        ("/api/send", "application/json", umami),
        (
            "/wp-admin/admin-ajax.php",
            "application/x-www-form-urlencoded",
            "action=slimtrack&op=add",
        ),
        ("/array/e/?ip=0", "text/plain", "\u{1f}\u{8}"),
    ] {
        assert_eq!(post(path, media_type, body, ""), 204, "{path}");
        assert_eq!(post(path, media_type, body, &consent_cookie("analytics")), 200, "{path}");
        assert_eq!(origin.next_request().body, body.as_bytes(), "{path}");
    }
    let long = format!("{{\"kind\":\"order\",\"text\":\"{}\"}}", "x".repeat(200_000));
    for (path, media_type, body) in [
        ("/api/log", "application/json", "{\"kind\":\"order\"}"),
        ("/api/log", "application/json", &*long),
        ("/api/log", "application/json", ""),
        ("/x/tunnel", "application/json", event),
        ("/any", "text/plain", snowplow),
        ("/wp-admin/admin-ajax.php", "application/x-www-form-urlencoded", "action=heartbeat"),
    ] {
        assert_eq!(post(path, media_type, body, ""), 200, "{path} {media_type}");
        assert_eq!(origin.next_request().body, body.as_bytes(), "{path} {media_type}");
    }
    assert!(origin.received_nothing());
}

#[test]
fn a_body_in_several_writes_is_read_for_its_start_and_forwarded_unchanged() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "[timeouts]\nidle = '1s'");
    let mut client = proxy.connect();
    let fields = [("Content-Type", "text/plain"), ("Content-Length", "6")];
    client.send(&request("POST", "/save", &fields));
    client.send(b"abc");
    client.send(b"def");
    assert_eq!(client.reply("POST").status, 200);
    assert_eq!(origin.next_request().body, b"abcdef");
    // A stream without a length is not read before it is forwarded.
    let fields = [("Content-Type", "text/plain"), ("Transfer-Encoding", "chunked")];
    client.send(&request("POST", "/stream", &fields));
    client.send(b"3\r\nabc\r\n0\r\n\r\n");
    assert_eq!(client.reply("POST").status, 200);
    assert_eq!(origin.next_request().body, b"abc");
    // A client that never sends its body gets a timeout.
    client.send(&request(
        "POST",
        "/save",
        &[("Content-Type", "text/plain"), ("Content-Length", "6")],
    ));
    assert_eq!(client.reply("POST").status, 408);
    assert!(origin.received_nothing());
}
