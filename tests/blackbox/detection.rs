//! Detection of beacons without a rule, by the origin's response.

use crate::beacons::PIXEL;
use crate::support::{Origin, Proxy, Reply, full_consent, request, run};

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

const NO_CORS: [(&str, &str); 2] = [("Sec-Fetch-Mode", "no-cors"), ("Sec-Fetch-Dest", "empty")];

/// Sends a POST like `navigator.sendBeacon`. Fields in `fields` replace the usual ones.
fn send_beacon(proxy: &Proxy, path: &str, fields: &[(&str, &str)]) -> Reply {
    let usual = NO_CORS.into_iter().chain([("Content-Length", "10")]);
    let mut all: Vec<_> =
        usual.filter(|(name, _)| !fields.iter().any(|(other, _)| other == name)).collect();
    all.extend(fields.iter().filter(|(_, value)| !value.is_empty()));
    let mut client = proxy.connect();
    client.send(&request("POST", path, &all));
    client.send(b"{\"uid\": 7}");
    client.reply("POST")
}

/// Whether the inventory lists a beacon at this path.
fn is_listed(proxy: &Proxy, path: &str) -> bool {
    let (_, inventory) = proxy.admin("/inventory");
    let inventory: serde_json::Value = serde_json::from_str(&inventory).unwrap();
    let beacons = inventory["default"]["beacons"].as_array().unwrap();
    beacons.iter().any(|beacon| beacon["name"] == path)
}

const TEXT: (&str, &str) = ("Content-Type", "text/plain;charset=UTF-8");
const BINARY: (&str, &str) = ("Content-Type", "application/octet-stream");
const JSON: (&str, &str) = ("Content-Type", "application/json");
const EMPTY: &str = "HTTP/1.1 204 No Content\r\nX-From: origin\r\n\r\n";

#[test]
fn beacon_like_posts_pass_and_are_listed_and_suggested() {
    let origin = Origin::responding(EMPTY);
    let proxy = Proxy::start(&origin, "");
    for (path, fields) in
        [("/none", &[][..]), ("/text", &[TEXT]), ("/bytes", &[BINARY]), ("/json", &[JSON])]
    {
        let reply = send_beacon(&proxy, &format!("{path}?x=secret"), fields);
        assert_eq!((reply.status, reply.field("x-from").as_deref()), (204, Some("origin")));
        assert!(is_listed(&proxy, path), "{path}");
    }
    let admin = format!("http://{}", proxy.admin);
    let (_, table, _) = run(&["inventory", "--admin", &admin], "");
    let row = table.lines().find(|line| line.starts_with("/text")).unwrap();
    assert!(row.contains("unclassified") && row.ends_with("POST text/plain"), "{table}");
    assert!(!table.contains("secret") && !table.contains("uid"), "{table}");

    let (code, rules, error) = run(&["suggest", "--admin", &admin], "");
    assert_eq!(code, 0, "{error}");
    for (path, condition) in [
        ("/none", "fetch_mode = \"no-cors\""),
        ("/text", "content_type = \"text/plain\""),
        ("/bytes", "content_type = \"application/octet-stream\""),
        ("/json", "content_type = \"application/json\""),
    ] {
        let rule = format!(
            "[[beacon]]\npath = \"{path}\"\nmethod = \"POST\"\n{condition}\ncategory = \"analytics\"\n"
        );
        assert!(rules.contains(&rule), "{path}: {rules}");
    }
    assert!(rules.contains("# /text: no script can read the responses to these POSTs"), "{rules}");

    let origin = Origin::responding(EMPTY);
    let proxy = Proxy::start(&origin, &rules);
    for (path, fields) in
        [("/none", &[][..]), ("/text", &[TEXT]), ("/bytes", &[BINARY]), ("/json", &[JSON])]
    {
        let reply = send_beacon(&proxy, path, fields);
        assert_eq!((reply.status, reply.field("x-from")), (204, None), "{path}");
    }
    assert!(origin.received_nothing());
}

#[test]
fn beacon_like_posts_are_replaced_if_configured() {
    for response in [
        EMPTY,
        "HTTP/1.1 200 OK\r\nX-From: origin\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 202 Accepted\r\nX-From: origin\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-From: origin\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nX-From: origin\r\nSet-Cookie: _ga=1\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nX-From: origin\r\nSet-Cookie: unknown=1; Max-Age=99999999\r\n\r\n",
    ] {
        let origin = Origin::responding(response);
        let proxy = Proxy::start(&origin, "beacons.detect = 'block'");
        let reply = send_beacon(&proxy, "/who/knows", &[TEXT]);
        assert_eq!((reply.status, reply.field("x-from")), (204, None), "{response}");
        assert_eq!(reply.field("cache-control").as_deref(), Some("no-store"));
        assert!(reply.body.is_empty() && reply.set_cookies().is_empty(), "{response}");
        assert_eq!(proxy.next_access_log_entry()["beacon"], "unclassified");
        let allowed = send_beacon(&proxy, "/who/knows", &[TEXT, ("Cookie", &full_consent())]);
        assert_eq!(allowed.field("x-from").as_deref(), Some("origin"), "{response}");
    }
    let origin = Origin::responding(EMPTY);
    let proxy = Proxy::start(&origin, "beacons.detect = 'block'\nmode = 'observe'");
    assert!(send_beacon(&proxy, "/who/knows", &[TEXT]).field("x-from").is_some());
    assert!(is_listed(&proxy, "/who/knows"));
}

#[test]
fn posts_that_scripts_read_and_forms_are_not_beacons() {
    let origin = Origin::responding(EMPTY);
    let rule = "[[beacon]]\npath = '/draft'\ncategory = 'necessary'";
    let proxy = Proxy::start(&origin, &format!("beacons.detect = 'block'\n{rule}"));
    for (path, fields) in [
        ("/cors", &[TEXT, ("Sec-Fetch-Mode", "cors")][..]),
        ("/same-origin", &[TEXT, ("Sec-Fetch-Mode", "same-origin")]),
        ("/plain-http", &[TEXT, ("Sec-Fetch-Mode", ""), ("Sec-Fetch-Dest", "")]),
        ("/report", &[JSON, ("Sec-Fetch-Dest", "report")]),
        ("/form", &[("Content-Type", "application/x-www-form-urlencoded;charset=UTF-8")]),
        ("/upload", &[("Content-Type", "multipart/form-data; boundary=x")]),
        ("/draft", &[TEXT]),
    ] {
        let reply = send_beacon(&proxy, path, fields);
        assert_eq!(reply.field("x-from").as_deref(), Some("origin"), "{path}");
        assert_ne!(is_listed(&proxy, path), path != "/draft", "{path}");
    }
    let off = Proxy::start(&origin, "beacons.detect = 'off'");
    assert!(send_beacon(&off, "/who/knows", &[TEXT]).field("x-from").is_some());
    assert!(!is_listed(&off, "/who/knows"));
}

#[test]
fn posts_with_an_error_a_body_or_a_session_in_the_response_are_not_beacons() {
    for (head, body) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2", "ok"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", "2\r\nok\r\n0\r\n\r\n"),
        ("HTTP/1.1 201 Created\r\nContent-Length: 0", ""),
        ("HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0", ""),
        ("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0", ""),
        ("HTTP/1.1 204 No Content\r\nSet-Cookie: PHPSESSID=1; HttpOnly", ""),
        ("HTTP/1.1 204 No Content\r\nSet-Cookie: PHPSESSID=x; Max-Age=0", ""),
        ("HTTP/1.1 204 No Content\r\nSet-Cookie: _ga=1\r\nSet-Cookie: own=1; HttpOnly", ""),
        ("HTTP/1.1 204 No Content\r\nSet-Cookie: own=; Max-Age=0", ""),
        ("HTTP/1.1 204 No Content\r\nSet-Cookie: OptanonAlertBoxClosed=2026-11-01", ""),
    ] {
        let origin = Origin::responding(format!("{head}\r\nX-From: origin\r\n\r\n{body}"));
        let proxy = Proxy::start(&origin, "beacons.detect = 'block'\nunclassified = 'presume'");
        for consent in [String::new(), full_consent()] {
            let reply = send_beacon(&proxy, "/who/knows", &[TEXT, ("Cookie", &consent)]);
            assert_eq!(reply.field("x-from").as_deref(), Some("origin"), "{head}");
            assert_eq!(reply.text(), if body.is_empty() { "" } else { "ok" }, "{head}");
            assert!(!is_listed(&proxy, "/who/knows"), "{head}");
        }
    }
}

#[test]
fn posts_to_the_path_of_a_page_are_not_beacons() {
    use std::io::Write;
    let origin = Origin::scripted(|received, stream| {
        let response = match received.line.split(' ').next().unwrap_or_default() {
            "GET" => "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 3\r\n\r\n<p>",
            _ => EMPTY,
        };
        stream.write_all(response.as_bytes()).is_ok()
    });
    let toml = "beacons.detect = 'block'";
    let proxy = Proxy::start(&origin, toml);
    let script = [("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Dest", "empty")];
    let page = [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")];
    proxy.get("/article", &script);
    assert_eq!(send_beacon(&proxy, "/article", &[TEXT]).field("x-from"), None);
    proxy.get("/cart?item=7", &page);
    let origin_replied = |path: &str| send_beacon(&proxy, path, &[TEXT]).field("x-from").is_some();
    assert!(origin_replied("/cart") && origin_replied("/cart?autosave"));
    assert!(!origin_replied("/collect") && !is_listed(&proxy, "/cart"));
    // The paths of pages outlast a reload.
    proxy.reload(&format!(
        "{toml}\nexpire.enabled = false\n[[site]]\nupstream = '{}'",
        origin.url()
    ));
    assert!(origin_replied("/cart"));
}
