//! Query parameters that identify a person, a click or a session: stripped from requests and `Referer`, or removed by
//! a redirect.

use http::Request;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;

use crate::support::{Origin, Proxy, consent_cookie, full_consent, request, run};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// The fields of a page load from a link on another site.
const LANDING: [(&str, &str); 3] = [
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Dest", "document"),
    ("Sec-Fetch-Site", "cross-site"),
];

fn landing<'a>(fields: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&LANDING[..], fields].concat()
}

#[test]
fn identifiers_without_consent_never_reach_the_origin_and_other_bytes_are_unchanged() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    for (sent, expected) in [
        ("/", "/"),
        ("/?fbclid=IwAR2", "/"),
        (
            "/a%20b?x=%41&&gclid=1&utm_source=g&y=+;&gad_source=5",
            "/a%20b?x=%41&&utm_source=g&y=+;&gad_source=5",
        ),
        ("/unsubscribe?mc_eid=1&u=2", "/unsubscribe?mc_eid=1&u=2"),
        ("/p?mkt_tok=1&mkt_unsubscribe=1", "/p?mkt_tok=1&mkt_unsubscribe=1"),
        ("/p?fbclid&gclid=", "/p?fbclid&gclid="),
    ] {
        for fields in [&[][..], &LANDING] {
            assert_eq!(proxy.get(sent, fields).status, 200);
            assert_eq!(origin.next_request().line, format!("GET {expected} HTTP/1.1"));
        }
    }
    let head = request("HEAD", "/?msclkid=1&a", &[]);
    let mut client = proxy.connect();
    client.send(&head);
    client.reply("HEAD");
    assert_eq!(origin.next_request().line, "HEAD /?a HTTP/1.1");
}

#[test]
fn each_identifier_passes_only_with_consent_to_its_category() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    let target = |cookie: &str| {
        proxy.get("/?_gl=1&fbclid=2&igshid=3", &[("Cookie", cookie)]);
        origin.next_request().line
    };
    assert_eq!(target(&consent_cookie("functional")), "GET / HTTP/1.1");
    assert_eq!(target(&consent_cookie("analytics")), "GET /?_gl=1 HTTP/1.1");
    assert_eq!(target(&consent_cookie("targeting")), "GET /?fbclid=2 HTTP/1.1");
    assert_eq!(target(&consent_cookie("social")), "GET /?igshid=3 HTTP/1.1");
    assert_eq!(target(&full_consent()), "GET /?_gl=1&fbclid=2&igshid=3 HTTP/1.1");
}

#[test]
fn the_query_of_other_methods_is_kept_and_the_referer_of_all_is_stripped() {
    let origin = Origin::responding(OK);
    for mode in ["strip", "redirect"] {
        let proxy = Proxy::start(&origin, &format!("url_identifiers = '{mode}'"));
        let fields = landing(&[("Referer", "https://shop.example/a?x=%2F&yclid=1&y")]);
        assert_eq!(proxy.post("/form?fbclid=1", "a=b&fbclid=2", &fields).status, 200);
        let seen = origin.next_request();
        assert_eq!(seen.line, "POST /form?fbclid=1 HTTP/1.1");
        assert_eq!(seen.body, b"a=b&fbclid=2");
        assert_eq!(seen.field("referer").as_deref(), Some("https://shop.example/a?x=%2F&y"));
        let kept = "https://news.example/unsubscribe?mc_eid=1";
        proxy.get("/", &[("Referer", kept)]);
        assert_eq!(origin.next_request().field("referer").as_deref(), Some(kept));
        let granted = ("Cookie", &*consent_cookie("targeting"));
        proxy.get("/", &[("Referer", "https://shop.example/?fbclid=1"), granted]);
        assert_eq!(
            origin.next_request().field("referer").as_deref(),
            Some("https://shop.example/?fbclid=1")
        );
    }
}

#[test]
fn a_landing_page_is_redirected_once_and_other_requests_are_stripped() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "url_identifiers = 'redirect'");
    let reply = proxy.get("/sale/shoes?size=7&fbclid=1&utm_source=mail", &LANDING);
    assert_eq!((reply.status, reply.text().as_str()), (302, ""));
    assert_eq!(reply.field("location").as_deref(), Some("./shoes?size=7&utm_source=mail"));
    assert_eq!(reply.field("cache-control").as_deref(), Some("private, no-store"));
    assert_eq!(reply.set_cookies(), Vec::<String>::new());
    assert!(origin.received_nothing());
    assert_eq!(proxy.get("/sale/shoes?size=7&utm_source=mail", &LANDING).status, 200);
    assert_eq!(origin.next_request().line, "GET /sale/shoes?size=7&utm_source=mail HTTP/1.1");
    // A page of the site that adds the parameter again is not redirected again.
    let own = [LANDING[0], LANDING[1], ("Sec-Fetch-Site", "same-origin")];
    for fields in [&own[..], &[("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Dest", "empty")]] {
        assert_eq!(proxy.get("/?fbclid=1&a", fields).status, 200);
        assert_eq!(origin.next_request().line, "GET /?a HTTP/1.1");
    }
    // The path of another host must not become the host of the location.
    let reply = proxy.get("//evil.example/?fbclid=1", &LANDING);
    assert_eq!((reply.status, reply.field("location").as_deref()), (302, Some("./")));
    let granted = consent_cookie("targeting");
    assert_eq!(proxy.get("/?fbclid=1", &landing(&[("Cookie", &granted)])).status, 200);
    assert_eq!(origin.next_request().line, "GET /?fbclid=1 HTTP/1.1");
}

#[test]
fn redirects_of_the_site_keep_working() {
    let click = "HTTP/1.1 302 Found\r\nLocation: https://shop.example/sale?fbclid=1\r\nContent-Length: 0\r\n\r\n";
    let origin = Origin::responding(click);
    let proxy = Proxy::start(&origin, "");
    let reply = proxy.get("/click?to=%2Fsale%3Ffbclid%3D1&mc_eid=2", &LANDING);
    assert_eq!(origin.next_request().line, "GET /click?to=%2Fsale%3Ffbclid%3D1 HTTP/1.1");
    let location = reply.field("location");
    assert_eq!(
        (reply.status, location.as_deref()),
        (302, Some("https://shop.example/sale?fbclid=1"))
    );
}

#[test]
fn observe_mode_counts_and_forwards_everything() {
    let origin = Origin::responding(OK);
    for (toml, counted) in [
        ("mode = 'observe'\nurl_identifiers = 'redirect'", 2.0),
        ("mode = 'observe'\nurl_identifiers = 'off'", 0.0),
    ] {
        let proxy = Proxy::start(&origin, toml);
        let fields = landing(&[("Referer", "https://shop.example/?fbclid=1")]);
        assert_eq!(proxy.get("/?gclid=va1ue", &fields).status, 200);
        let seen = origin.next_request();
        assert_eq!(seen.line, "GET /?gclid=va1ue HTTP/1.1");
        assert_eq!(seen.field("referer").as_deref(), Some("https://shop.example/?fbclid=1"));
        let sample = "consentry_url_parameters_stripped_total{site=\"default\",category=\"targeting\",mode=\"observe\"}";
        proxy.expect_metric(sample, counted);
    }
}

#[test]
fn stripped_parameters_are_counted_and_listed_by_name_without_values() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "log.access = true");
    let fields = [("Referer", "https://shop.example/?fbclid=va1ue")];
    proxy.get("/?gclid=va1ue&_gl=va1ue&other=va1ue", &fields);
    let access = proxy.next_access_log_entry();
    assert_eq!(access["stripped_parameters"], serde_json::json!({"analytics": 1, "targeting": 2}));
    proxy.get("/?gclid=va1ue", &[("Cookie", &consent_cookie("targeting"))]);
    let (_, text) = proxy.admin("/inventory");
    assert!(!text.contains("va1ue") && !text.contains("other"), "{text}");
    let inventory: Value = serde_json::from_str(&text).unwrap();
    let items = inventory["default"]["url_parameters"].as_array().unwrap();
    let rows: Vec<_> = items
        .iter()
        .map(|item| {
            let stripped = item["undecided"]["stripped"].as_u64().unwrap();
            (
                item["name"].as_str().unwrap(),
                item["category"].as_str().unwrap(),
                stripped,
                &item["sent"],
            )
        })
        .collect();
    let (one, two) = (&Value::from(1), &Value::from(2));
    let expected = [
        ("_gl", "analytics", 1, one),
        ("fbclid", "targeting", 1, one),
        ("gclid", "targeting", 1, two),
    ];
    assert_eq!(rows, expected);
    let address = format!("http://{}", proxy.admin);
    let (_, table, _) = run(&["inventory", "--admin", &address], "");
    assert!(table.contains("site default: 3 URL parameters"), "{table}");
    let (_, rules, _) = run(&["suggest", "--admin", &address], "");
    assert!(!rules.contains("gclid"), "{rules}");
}

#[test]
fn rules_of_the_config_and_the_site_override_the_catalogue() {
    let origin = Origin::responding(OK);
    let url = origin.url();
    let proxy = Proxy::start_with(&format!(
        "[[parameter]]\nname = 'client'\ncategory = 'analytics'\n\
         [[site]]\nhosts = ['api.example']\nupstream = '{url}'\n\
         [[site.parameter]]\nname = 'gclid'\ncategory = 'necessary'\npath = '/v1/*'\n\
         [[site]]\nhosts = ['off.example']\nupstream = '{url}'\nurl_identifiers = 'off'\n\
         [[site]]\nupstream = '{url}'\n"
    ));
    let sent = "/v1/x?gclid=1&client=2";
    for (host, expected) in
        [("api.example", "/v1/x?gclid=1"), ("off.example", sent), ("other.example", "/v1/x")]
    {
        let mut client = proxy.connect();
        client.send(format!("GET {sent} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        assert_eq!(client.reply("GET").status, 200);
        assert_eq!(origin.next_request().line, format!("GET {expected} HTTP/1.1"), "{host}");
    }
}

#[test]
fn lines_of_filter_lists_remove_parameters_from_page_loads() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list.txt");
    let lines = "$removeparam=listed\n||shop.example^$removeparam=here\n@@||shop.example/pay$removeparam=listed\n\
                 /^x/$removeparam=/y/\n##.ad\n/pixel.gif?\n";
    std::fs::write(&list, lines).unwrap();
    let toml = format!("beacons.lists = ['{}']\nbeacons.list_category = 'social'", list.display());
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, &toml);
    let target = |path: &str, fields: &[(&str, &str)]| {
        let host = [("Host", "shop.example")];
        let mut client = proxy.connect();
        client.send(&request("GET", path, &[&host[..], fields].concat()));
        assert_eq!(client.reply("GET").status, 200);
        origin.next_request().line
    };
    assert_eq!(target("/?listed=1&here=2&other=3", &LANDING), "GET /?other=3 HTTP/1.1");
    assert_eq!(target("/pay?listed=1&here=2", &LANDING), "GET /pay?listed=1 HTTP/1.1");
    assert_eq!(target("/?listed=1", &[]), "GET /?listed=1 HTTP/1.1");
    let granted = consent_cookie("social");
    let fields = landing(&[("Cookie", &granted)]);
    assert_eq!(target("/?listed=1", &fields), "GET /?listed=1 HTTP/1.1");
    assert!(proxy.admin("/inventory").1.contains("(filter list)"));

    let config = folder.path().join("c.toml");
    std::fs::write(&config, format!("{toml}\n[[site]]\nupstream = 'http://a'\n")).unwrap();
    let (code, summary, _) = run(&["check", "--config", config.to_str().unwrap()], "");
    let counts = "1 lines for requests, 3 for URL parameters, 2 without effect";
    assert!(code == 0 && summary.contains(counts), "{summary}");
}

#[test]
fn classify_prints_the_rule_of_a_parameter() {
    let (code, out, _) = run(
        &["classify", "--parameter", "fbclid", "SCCID", "utm_source", "__s=abcdef", "__s=ab"],
        "",
    );
    assert_eq!(code, 0);
    let expected = "fbclid\ttargeting\tMeta\tfbclid\n\
                    SCCID\ttargeting\tSnapchat\tScCid\n\
                    utm_source\tunclassified\t-\t-\n\
                    __s\ttargeting\tDrip\t__s\n\
                    __s\tunclassified\t-\t-\n";
    assert_eq!(out, expected);
}

#[test]
fn invalid_settings_are_reported_with_their_line_and_key() {
    for (toml, expected) in [
        ("url_identifiers = 'remove'", "c.toml:1: url_identifiers: "),
        ("[[parameter]]\nname = 'a'", "c.toml:1: parameter[0].category: is missing"),
        ("[[parameter]]\ncategory = 'social'", "c.toml:1: parameter[0].name: is missing"),
        ("[[parameter]]\nname = 'a'\ncategory = 'ads'", "c.toml:3: parameter[0].category: "),
        (
            "[[parameter]]\nname = '*'\ncategory = 'social'",
            "c.toml:2: parameter[0].name: `*` needs",
        ),
        (
            "[[parameter]]\nname = '*'\ncategory = 'necessary'",
            "c.toml:2: parameter[0].name: `*` needs",
        ),
        (
            "[[parameter]]\nname = 'a'\ncategory = 'social'\npath = 'x'",
            "c.toml:4: parameter[0].path: ",
        ),
        (
            "[[parameter]]\nname = 'a'\ncategory = 'social'\nvalue = '{x}'",
            "c.toml:4: parameter[0].value: ",
        ),
        (
            "[[parameter]]\nname = 'a'\ncategory = 'social'\nfoo = 1",
            "c.toml:4: parameter[0].foo: unknown key",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("c.toml");
        std::fs::write(&config, format!("{toml}\n[[site]]\nupstream = 'http://a'\n")).unwrap();
        let (code, _, error) = run(&["check", "--config", config.to_str().unwrap()], "");
        assert!(code == 2 && error.contains(expected), "{toml}\n{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_2_requests_are_stripped_and_redirected() {
    let origin = Origin::responding(OK);
    for (mode, status) in [("strip", 200), ("redirect", 302)] {
        let proxy = Proxy::start(&origin, &format!("url_identifiers = '{mode}'"));
        let stream = tokio::net::TcpStream::connect(proxy.address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
        tokio::spawn(connection);
        let mut send = async |fields: &[(&str, &str)]| {
            let uri = "http://shop.example/a?fbclid=1&b=2";
            let request = fields
                .iter()
                .fold(Request::get(uri), |request, (name, value)| request.header(*name, *value));
            sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap()
        };
        let reply = send(&LANDING).await;
        assert_eq!(reply.status(), status);
        match reply.headers().get("location") {
            Some(location) => assert_eq!(location, "./a?b=2"),
            None => assert_eq!(origin.next_request().line, "GET /a?b=2 HTTP/1.1"),
        }
        assert_eq!(send(&[]).await.status(), 200);
        assert_eq!(origin.next_request().line, "GET /a?b=2 HTTP/1.1");
    }
}
