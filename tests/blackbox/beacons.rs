//! Beacons without consent never reach the origin, and their senders notice nothing.

use crate::support::{Origin, Proxy, consent_cookie, request, run};

pub const PIXEL: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff\x21\xf9\x04\x01\x00\x00\x00\x00\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00\x3b";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn a_beacon_without_consent_gets_a_quiet_reply_and_never_reaches_the_origin() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    let image = proxy.get("/matomo.php?idsite=1&rec=1", &[("Sec-Fetch-Dest", "image")]);
    assert_eq!((image.status, image.field("content-type").as_deref()), (200, Some("image/gif")));
    assert_eq!(image.body, PIXEL);
    assert_eq!(image.field("cache-control").as_deref(), Some("no-store"));

    let mut client = proxy.connect();
    client.send(&request(
        "POST",
        "/matomo.php?rec=1",
        &[
            ("Origin", "https://shop.example"),
            ("Content-Length", "3"),
            ("Content-Type", "text/plain"),
        ],
    ));
    client.send(b"a=b");
    let ping = client.reply("POST");
    assert_eq!(ping.status, 204);
    assert_eq!(ping.field("access-control-allow-origin").as_deref(), Some("https://shop.example"));
    // The connection can still be used.
    client.send(&request("GET", "/page", &[]));
    assert_eq!(client.reply("GET").text(), "ok");
    assert_eq!(origin.next_request().line, "GET /page HTTP/1.1");
    assert!(origin.received_nothing());
    assert_eq!(proxy.next_access_log_entry()["beacon"], "analytics");
    let sample =
        "consentry_beacons_blocked_total{site=\"default\",category=\"analytics\",mode=\"enforce\"}";
    proxy.expect_metric(sample, 2.0);
}

#[test]
fn beacons_with_consent_are_forwarded() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    let reply = proxy.get("/matomo.php?rec=1", &[("Cookie", &consent_cookie("analytics"))]);
    assert_eq!(reply.text(), "ok");
}

#[test]
fn disguised_beacons_are_blocked() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    for path in [
        "//matomo.php?rec=1",
        "/x/../matomo.php?rec=1",
        "/%6Datomo.php?rec=1",
        "/./matomo.php?rec=1",
        "/matomo.php/x?idsite=1",
        "/matomo.php/x/y.html",
        "/matomo%2ephp;a?rec=1",
        "/matomo.php;a=1?rec=1",
        "/MATOMO.php?rec=1",
        "/collect?t%69d=G-1",
        "/collect;a/?v=2;tid=G-1",
        "/wp-admin/admin-ajax.php?%61ction=wp%5Fstatistics_hit_record",
    ] {
        assert_eq!(proxy.get(path, &[]).status, 204, "{path}");
    }
    assert!(origin.received_nothing());
}

#[test]
fn pages_and_images_with_beacon_like_paths_pass() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(
        &origin,
        "[[beacon]]\npath = '/track/*'\ncategory = 'analytics'\n\
         [[beacon]]\npath = '/index.php'\ncategory = 'analytics'",
    );
    let page = [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")];
    let html = [("Accept", "text/html,*/*;q=0.8")];
    let image = [("Sec-Fetch-Dest", "image"), ("Sec-Fetch-Mode", "no-cors")];
    for (path, fields) in [
        ("/Track/orders", &page[..]),
        ("/Track/orders", &html),
        ("/index.php/cart", &page),
        ("/index.php/logo.gif", &image),
        ("/COLLECT?tid=1", &page),
        ("/collect/?tid=1", &html),
        ("/Email/Header.gif", &image),
        ("/matomo.php.html", &image),
        ("/docs/matomo", &image),
    ] {
        assert_eq!(proxy.get(path, fields).text(), "ok", "{path} {fields:?}");
    }
}

#[test]
fn rule_paths_accept_every_spelling_and_rules_that_never_match_are_errors() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(
        &origin,
        "[[beacon]]\npath = '/a%20b'\ncategory = 'analytics'\n\
         [[beacon]]\npath = '/p%C3%ADxel'\ncategory = 'analytics'\n\
         [[beacon]]\npath = '//x//y'\ncategory = 'analytics'\n\
         [[beacon]]\npath = '/Capital'\nfetch_dest = 'Image'\ncategory = 'analytics'\n\
         [[beacon]]\npath = '/typed'\ncontent_type = 'Text/Plain;charset=UTF-8'\ncategory = 'analytics'\n\
         [[beacon]]\npath = '/q'\nquery = 'a%20b=c+d'\ncategory = 'analytics'",
    );
    let image = [("Sec-Fetch-Dest", "image")];
    for (path, fields) in [
        ("/a%20b", &[][..]),
        ("/p%c3%ADxel", &[]),
        ("/x/y", &[]),
        ("/Capital", &image),
        ("/capital", &image),
        ("/typed", &[("Content-Type", "text/plain; charset=utf-8")]),
        ("/q?a+b=c%20d", &[]),
    ] {
        assert!(proxy.get(path, fields).text() != "ok", "{path}");
    }
    assert!(origin.received_nothing());

    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("c.toml");
    for (line, expected) in [
        ("path = '/a?b'", "beacon[0].path: a path must not contain `?`: it would never match"),
        ("path = '/a#b'", "beacon[0].path: a path must not contain `#`"),
        ("path = '/a/../b'", "beacon[0].path: a path must not contain the segments `.` and `..`"),
        ("path = '/a%2Ab'", "beacon[0].path: `%2A` is ambiguous: it equals the wildcard `*`"),
        ("path = '/%ff'", "beacon[0].path: the percent-encoding is not UTF-8"),
        ("path = '/a'\nquery = 'a=b&c=d'", "beacon[0].query: `a=b&c=d` is not one parameter"),
        ("path = '/a'\nquery = '?a'", "beacon[0].query: `?a` is not one parameter"),
        ("path = '/a'\nfetch_dest = 'an image'", "beacon[0].fetch_dest: `an image` is not a value"),
        (
            "path = '/a'\ncontent_type = 'json'",
            "beacon[0].content_type: `json` is not a media type",
        ),
        ("path = '/a'\nmethod = 'GET, POST'", "beacon[0].method: `GET, POST` is not a method"),
    ] {
        let toml = format!(
            "[[beacon]]\ncategory = 'analytics'\n{line}\n[[site]]\nupstream = 'http://a'\n"
        );
        std::fs::write(&config, toml).unwrap();
        let (code, _, error) = run(&["check", "--config", config.to_str().unwrap()], "");
        assert!(code == 2 && error.contains(expected), "{line}: {error}");
    }
}

#[test]
fn configured_beacons_match_with_all_their_conditions() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(
        &origin,
        "[[beacon]]\npath = '/track/*'\ncategory = 'targeting'\nmethod = 'POST'\nquery = 'uid'\n\
         [[beacon]]\npath = '/open.gif'\ncategory = 'analytics'\n\
         [[beacon]]\npath = '/matomo.php'\ncategory = 'necessary'",
    );
    let post = |path: &str, cookie: &str| {
        let mut client = proxy.connect();
        client.send(&request("POST", path, &[("Content-Length", "0"), ("Cookie", cookie)]));
        client.reply("POST").status
    };
    assert_eq!(post("/track/a?uid=1", "a=1"), 204);
    assert_eq!(post("/track/a?uid=1", &consent_cookie("targeting")), 200);
    assert_eq!(post("/track/a", "a=1"), 200);
    assert_eq!(proxy.get("/track/a?uid=1", &[]).status, 200);
    assert_eq!(proxy.get("/open.gif", &[]).body, PIXEL);
    assert_eq!(proxy.get("/matomo.php?rec=1", &[]).status, 200);
}

#[test]
fn observe_forwards_beacons_and_counts_them() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "mode = 'observe'");
    assert_eq!(proxy.get("/matomo.php?rec=1", &[]).text(), "ok");
    let sample =
        "consentry_beacons_blocked_total{site=\"default\",category=\"analytics\",mode=\"observe\"}";
    proxy.expect_metric(sample, 1.0);
}

#[test]
fn filter_lists_are_loaded_and_an_unreadable_list_fails_the_start() {
    let origin = Origin::responding("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list.txt");
    std::fs::write(&list, "/secret-stats.\n/metrics.js$script\n").unwrap();
    let toml =
        format!("beacons.lists = ['{}']\nbeacons.list_category = 'targeting'", list.display());
    let proxy = Proxy::start(&origin, &toml);
    let image = &[("Sec-Fetch-Dest", "image")][..];
    assert_eq!(
        proxy.get("/secret-stats.gif?x=1", image).field("content-type").unwrap(),
        "image/gif"
    );
    assert!(origin.received_nothing());
    assert_eq!(proxy.get("/metrics.js", image).text(), "ok", "the rule is for scripts");
    assert_eq!(proxy.get("/metrics.js", &[("Sec-Fetch-Dest", "script")]).status, 204);
    assert_eq!(
        proxy.get("/secret-stats.gif", &[("Cookie", &consent_cookie("targeting"))]).text(),
        "ok"
    );
    assert_eq!(proxy.get("/secret-stats.html", &[("Sec-Fetch-Dest", "document")]).text(), "ok");
    assert!(proxy.admin("/inventory").1.contains("(filter list)"));

    let check = |text: Option<&str>| {
        match text {
            Some(text) => std::fs::write(&list, text).unwrap(),
            None => std::fs::remove_file(&list).unwrap(),
        }
        let config = folder.path().join("c.toml");
        std::fs::write(
            &config,
            "[beacons]\nlists = ['list.txt']\n[[site]]\nupstream = 'http://a'\n",
        )
        .unwrap();
        run(&["check", "--config", config.to_str().unwrap()], "")
    };
    assert_eq!(check(Some("/a.\n")).0, 0);
    let (code, _, error) = check(Some("<!doctype html>\n"));
    assert!(
        code == 2
            && error.contains("c.toml:2: beacons.lists[0]: ")
            && error.contains("has no rule"),
        "{error}"
    );
    let (code, _, error) = check(None);
    assert!(code == 2 && error.contains("cannot read the file"), "{error}");
}

#[test]
fn e_mail_pixels_are_blocked_unless_the_site_allows_them() {
    let origin = Origin::responding("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let pixel = "/campaign/7/8/px.png";
    let denied = Proxy::start(&origin, "");
    assert_eq!(denied.get(pixel, &[]).field("content-type").unwrap(), "image/gif");
    assert!(origin.received_nothing());
    assert_eq!(Proxy::start(&origin, "beacons.email_opens = 'allow'").get(pixel, &[]).text(), "ok");
}

#[test]
fn page_loads_are_forwarded_without_cookies_unless_a_rule_blocks_navigations() {
    let origin = Origin::setting_cookies(&["_pk_id=1; Max-Age=60"]);
    let rule = "[[beacon]]\npath = '/out'\ncategory = 'analytics'\nnavigation = true\n\
                [[beacon]]\npath = '/framed'\ncategory = 'analytics'\nfetch_dest = 'iframe'\n";
    let proxy = Proxy::start(&origin, rule);
    let page = [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")];
    for fields in [&page[..], &[("Accept", "text/html,application/xhtml+xml")]] {
        for path in [
            "/?mailpoet_router&endpoint=track&action=click&data=x",
            "/events/summer?ev=12",
            "/i?aid=1",
            "/count?rnd=1",
            "/matomo.php?rec=1",
            "/unsubscribe?utm_source=mail",
        ] {
            let fields = [fields, &[("Cookie", "_pk_id=1")]].concat();
            let reply = proxy.get(path, &fields);
            assert_eq!(
                (reply.status, reply.set_cookies().iter().any(|line| line.starts_with("_pk_id=1"))),
                (200, false),
                "{path}"
            );
            let received = origin.next_request();
            assert!(received.line.contains(path) && received.field("cookie").is_none(), "{path}");
        }
    }
    for (path, dest) in [("/out", "document"), ("/framed", "iframe"), ("/x/td/rul/1", "iframe")] {
        let fields = [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", dest)];
        assert_eq!(proxy.get(path, &fields).status, 204, "{path}");
    }
    for path in ["/matomo.php?rec=1", "/?mailpoet_router&endpoint=track&action=open"] {
        assert_eq!(proxy.get(path, &[("Sec-Fetch-Dest", "image")]).text().get(..3), Some("GIF"));
    }
    assert!(origin.received_nothing());
}
