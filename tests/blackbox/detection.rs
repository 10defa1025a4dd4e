//! Detection of beacons without a rule, by the origin's response.

use crate::beacons::PIXEL;
use crate::support::{Origin, Proxy, full_consent};

fn pixel_origin() -> Origin {
    let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Type: image/gif\r\nContent-Length: {}\r\nX-From: origin\r\n\r\n", PIXEL.len()).into_bytes();
    answer.extend_from_slice(PIXEL);
    Origin::responding(answer)
}

#[test]
fn beacon_like_responses_pass_and_are_recorded_in_the_inventory() {
    let origin = pixel_origin();
    let proxy = Proxy::start(&origin, "");
    let reply = proxy.get("/who/knows?x=secret", &[("Sec-Fetch-Dest", "image")]);
    assert_eq!((reply.body.as_slice(), reply.field("x-from").as_deref()), (PIXEL, Some("origin")));
    let (_, inventory) = proxy.admin("/inventory");
    assert!(inventory.contains("/who/knows") && !inventory.contains("secret"), "{inventory}");
}

#[test]
fn beacon_like_responses_are_replaced_if_configured() {
    let origin = pixel_origin();
    let proxy = Proxy::start(&origin, "beacons.detect = 'block'");
    let image = [("Sec-Fetch-Dest", "image")];
    let reply = proxy.get("/who/knows", &image);
    assert_eq!((reply.body.as_slice(), reply.field("x-from")), (PIXEL, None));
    assert_eq!(reply.field("cache-control").as_deref(), Some("no-store"));
    assert_eq!(proxy.next_access_log_entry()["beacon"], "unclassified");
    let allowed = proxy.get("/who/knows", &[image[0], ("Cookie", &full_consent())]);
    assert_eq!(allowed.field("x-from").as_deref(), Some("origin"));
}

#[test]
fn an_ordinary_small_image_passes_unchanged_in_any_chunking() {
    use std::io::Write;
    let mut image = b"GIF89a\x10\x00\x10\x00".to_vec();
    image.resize(500, 7);
    let sent = image.clone();
    let origin = Origin::scripted(move |_, stream| {
        let head =
            b"HTTP/1.1 200 OK\r\nContent-Type: image/gif\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head).unwrap();
        for piece in sent.chunks(7) {
            write!(stream, "{:x}\r\n", piece.len()).unwrap();
            stream.write_all(piece).unwrap();
            stream.write_all(b"\r\n").unwrap();
        }
        stream.write_all(b"0\r\n\r\n").is_ok()
    });
    let proxy = Proxy::start(&origin, "beacons.detect = 'block'");
    let reply = proxy.get("/logo", &[("Sec-Fetch-Dest", "image")]);
    assert_eq!(reply.body, image);
    assert!(reply.complete);
}

#[test]
fn an_image_rule_without_a_file_name_blocks_only_pixels() {
    let gif = |width: u8| {
        [b"GIF89a", &[width, 0, width, 0][..], b"\x80\0\0\0\0\0\xff\xff\xff;ORIGIN"].concat()
    };
    let answer = |body: Vec<u8>| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: image/gif\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        [head.into_bytes(), body].concat()
    };
    for (name, pixel) in [("header", false), ("8f14e45fceea", true)] {
        let origin = Origin::responding(answer(gif(if pixel { 1 } else { 60 })));
        for (toml, blanked) in
            [("", pixel), ("mode = 'observe'", false), ("beacons.detect = 'off'", pixel)]
        {
            let proxy = Proxy::start(&origin, toml);
            let reply = proxy.get(&format!("/email/{name}.gif"), &[("Sec-Fetch-Dest", "image")]);
            assert_eq!(reply.text().ends_with("ORIGIN"), !blanked, "{name} {toml}");
            let beacon = proxy.next_access_log_entry()["beacon"].clone();
            assert_eq!(beacon == "analytics", pixel, "{name} {toml}");
        }
        let allowed = Proxy::start(&origin, "beacons.email_opens = 'allow'");
        assert!(allowed.get("/email/x.gif", &[]).text().ends_with("ORIGIN"));
    }
}
