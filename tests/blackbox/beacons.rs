//! Beacons without consent never reach the origin; their callers notice nothing.

use crate::support::{Origin, Proxy, consent, request, run};

pub const PIXEL: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff\x21\xf9\x04\x01\x00\x00\x00\x00\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00\x3b";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn a_beacon_without_consent_is_answered_quietly_and_never_reaches_the_origin() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::start(&origin, "");
    let image = proxy.get("/matomo.php?idsite=1&rec=1", &[("Sec-Fetch-Dest", "image")]);
    assert_eq!((image.status, image.field("content-type").as_deref()), (200, Some("image/gif")));
    assert_eq!(image.body, PIXEL);
    assert_eq!(image.field("cache-control").as_deref(), Some("no-store"));

    let mut visitor = proxy.visit();
    visitor.send(&request(
        "POST",
        "/matomo.php?rec=1",
        &[
            ("Origin", "https://shop.example"),
            ("Content-Length", "3"),
            ("Content-Type", "text/plain"),
        ],
    ));
    visitor.send(b"a=b");
    let ping = visitor.reply("POST");
    assert_eq!(ping.status, 204);
    assert_eq!(ping.field("access-control-allow-origin").as_deref(), Some("https://shop.example"));
    // The connection is still of use.
    visitor.send(&request("GET", "/page", &[]));
    assert_eq!(visitor.reply("GET").text(), "ok");
    assert_eq!(origin.next().line, "GET /page HTTP/1.1");
    assert!(origin.saw_nothing());
    assert_eq!(proxy.access()["beacon"], "analytics");
    let sample =
        "consentry_beacons_blocked_total{site=\"default\",category=\"analytics\",mode=\"enforce\"}";
    proxy.expect_metric(sample, 2.0);
}

#[test]
fn a_beacon_with_consent_is_forwarded() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::start(&origin, "");
    let reply = proxy.get("/matomo.php?rec=1", &[("Cookie", &consent("analytics"))]);
    assert_eq!(reply.text(), "ok");
}

#[test]
fn a_beacon_in_disguise_is_still_a_beacon() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::start(&origin, "");
    for path in [
        "//matomo.php?rec=1",
        "/x/../matomo.php?rec=1",
        "/%6Datomo.php?rec=1",
        "/./matomo.php?rec=1",
    ] {
        assert_eq!(proxy.get(path, &[]).status, 204, "{path}");
    }
    assert!(origin.saw_nothing());
}

#[test]
fn the_configs_own_beacons_hold_with_all_their_conditions() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::start(
        &origin,
        "[[beacon]]\npath = '/track/*'\ncategory = 'targeting'\nmethod = 'POST'\nquery = 'uid'\n\
         [[beacon]]\npath = '/open.gif'\ncategory = 'analytics'\n\
         [[beacon]]\npath = '/matomo.php'\ncategory = 'necessary'",
    );
    let post = |path: &str, cookie: &str| {
        let mut visitor = proxy.visit();
        visitor.send(&request("POST", path, &[("Content-Length", "0"), ("Cookie", cookie)]));
        visitor.reply("POST").status
    };
    assert_eq!(post("/track/a?uid=1", "a=1"), 204);
    assert_eq!(post("/track/a?uid=1", &consent("targeting")), 200);
    assert_eq!(post("/track/a", "a=1"), 200);
    assert_eq!(proxy.get("/track/a?uid=1", &[]).status, 200);
    assert_eq!(proxy.get("/open.gif", &[]).body, PIXEL);
    assert_eq!(proxy.get("/matomo.php?rec=1", &[]).status, 200);
}

#[test]
fn observe_forwards_beacons_and_counts_them() {
    let origin = Origin::answering(OK);
    let proxy = Proxy::start(&origin, "mode = 'observe'");
    assert_eq!(proxy.get("/matomo.php?rec=1", &[]).text(), "ok");
    let sample =
        "consentry_beacons_blocked_total{site=\"default\",category=\"analytics\",mode=\"observe\"}";
    proxy.expect_metric(sample, 1.0);
}

#[test]
fn filter_lists_are_read_and_an_unreadable_one_stops_the_start() {
    let origin = Origin::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
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
    assert!(origin.saw_nothing());
    assert_eq!(proxy.get("/metrics.js", image).text(), "ok", "the rule is for scripts");
    assert_eq!(proxy.get("/metrics.js", &[("Sec-Fetch-Dest", "script")]).status, 204);
    assert_eq!(proxy.get("/secret-stats.gif", &[("Cookie", &consent("targeting"))]).text(), "ok");
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
    assert!(code == 2 && error.contains("cannot be read"), "{error}");
}

#[test]
fn pixels_in_e_mails_are_answered_here_unless_the_site_says_otherwise() {
    let origin = Origin::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let pixel = "/campaign/7/8/px.png";
    let denied = Proxy::start(&origin, "");
    assert_eq!(denied.get(pixel, &[]).field("content-type").unwrap(), "image/gif");
    assert!(origin.saw_nothing());
    assert_eq!(Proxy::start(&origin, "beacons.email_opens = 'allow'").get(pixel, &[]).text(), "ok");
}
