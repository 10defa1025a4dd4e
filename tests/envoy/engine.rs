//! Tests specific to Envoy with consentry as its external processor.

use std::process::Stdio;

use crate::support::{Envoy, Origin, Proxy, RawClient, binary, eventually, request};

const OK: &str = "HTTP/1.1 200 OK\r\nSet-Cookie: _ga=1\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn without_the_processor_nothing_passes_unfiltered() {
    let origin = Origin::responding(OK);
    let mut proxy = Proxy::start(&origin, "");
    assert_eq!(proxy.get("/", &[]).status, 200);
    origin.next_request();
    proxy.signal("KILL");
    proxy.exit_status();
    let answer = proxy.get("/", &[]);
    assert!(answer.status >= 500, "{}", answer.status);
    assert!(answer.set_cookies().is_empty() && origin.received_nothing());
}

#[test]
fn a_reloaded_config_applies_to_the_next_request() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    assert!(proxy.get("/", &[]).set_cookies().is_empty());
    let rule = "[[cookie]]\nname = '_ga'\ncategory = 'necessary'";
    proxy.rewrite(&format!("{rule}\n[[site]]\nupstream = '{}'\n", origin.url()));
    proxy.signal("HUP");
    proxy.expect_log("config reloaded");
    assert_eq!(proxy.get("/", &[]).set_cookies(), ["_ga=1"]);
}

#[test]
fn a_drain_lets_the_request_in_flight_finish() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let origin = Origin::scripted(move |_, stream| {
        wait.lock().unwrap().recv().unwrap();
        std::io::Write::write_all(stream, OK.as_bytes()).is_ok()
    });
    let mut proxy = Proxy::start(&origin, "");
    let mut client = proxy.connect();
    client.send(&request("GET", "/", &[]));
    origin.next_request();
    proxy.signal("TERM");
    proxy.expect_log("draining");
    go.send(()).unwrap();
    let reply = client.reply("GET");
    assert_eq!((reply.status, reply.set_cookies().len()), (200, 0));
    assert!(proxy.exit_status().success());
}

#[test]
fn an_unknown_host_is_rejected_like_in_the_proxy() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start_with(&format!(
        "[[site]]\nhosts = ['shop.example']\nupstream = '{}'\n",
        origin.url()
    ));
    assert_eq!(proxy.get("/", &[]).status, 200);
    assert_eq!(proxy.get("/", &[("Host", "other.example")]).status, 421);
}

#[test]
fn an_unclassified_pixel_passes_since_its_body_is_not_requested() {
    let pixel = b"GIF89a\x01\0\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\0;";
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: image/gif\r\nContent-Length: {}\r\n\r\n",
        pixel.len()
    );
    let origin = Origin::responding([head.as_bytes(), pixel].concat());
    let proxy = Proxy::start(&origin, "beacons.detect = 'block'");
    assert_eq!(proxy.get("/p.gif", &[("Sec-Fetch-Dest", "image")]).body, pixel);
    // Beacons that the head alone identifies are detected.
    let origin = Origin::responding("HTTP/1.1 204 No Content\r\nX-From: origin\r\n\r\n");
    let proxy = Proxy::start(&origin, "beacons.detect = 'block'");
    let answer = proxy.get("/p.gif", &[("Sec-Fetch-Dest", "image")]);
    assert_eq!((answer.status, answer.field("x-from")), (200, None));
}

#[test]
fn envoy_can_connect_to_a_unix_socket() {
    let origin = Origin::responding(OK);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("processor.sock");
    let config = folder.path().join("consentry.toml");
    let toml = format!("listen.admin = 'off'\n[[site]]\nupstream = '{}'\n", origin.url());
    std::fs::write(&config, toml).unwrap();
    let mut processor = binary()
        .args(["ext-proc", "--listen", &format!("unix:{}", path.display()), "--config"])
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let envoy = Envoy::start_at(folder.path(), origin.address, &path);
    let mut last = None;
    // Until the processor listens.
    eventually(|| {
        let mut client = RawClient::connect(envoy.address);
        client.send(&request("GET", "/", &[]));
        let reply = client.reply("GET");
        last = Some((reply.status, reply.set_cookies().len()));
        reply.status == 200
    });
    let _ = processor.kill();
    let _ = processor.wait();
    assert_eq!(last, Some((200, 0)));
}
