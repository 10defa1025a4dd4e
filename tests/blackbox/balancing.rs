//! Load balancing over several sites and upstreams, and the limits of a site.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc;

use crate::support::{Origin, Proxy, Reply, consent_cookie, refusing_address, request};

fn named_origin(name: &'static str) -> Origin {
    Origin::responding(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len()))
}

fn body(reply: &Reply) -> String {
    String::from_utf8(reply.body.clone()).unwrap()
}

/// The upstreams that responded to this many requests, one letter each.
fn responding_upstreams(proxy: &Proxy, requests: usize) -> String {
    (0..requests).map(|_| body(&proxy.get("/", &[]))).collect()
}

#[test]
fn requests_are_distributed_by_upstream_weight() {
    let (a, b) = (named_origin("a"), named_origin("b"));
    let proxy = Proxy::start_with(&format!(
        "[[site]]\nupstream = [{{ url = \"{}\", weight = 3 }}, \"{}\"]\n",
        a.url(),
        b.url()
    ));
    let all = responding_upstreams(&proxy, 40);
    assert_eq!(all.matches('a').count(), 30, "{all}");
    assert!(!all.contains("bb"), "{all}");
}

#[test]
fn the_upstream_with_the_fewest_requests_in_flight_is_chosen() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let busy = Origin::scripted(move |received, stream| {
        if received.line.contains("/slow") {
            wait.lock().unwrap().recv().unwrap();
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na").is_ok()
    });
    let other = named_origin("b");
    let proxy = Proxy::start_with(&format!(
        "[[site]]\nbalance = \"least_connections\"\nupstream = [\"{}\", \"{}\"]\n",
        busy.url(),
        other.url()
    ));
    let mut slow = proxy.connect();
    slow.send(&request("GET", "/slow", &[]));
    busy.next_request();
    assert_eq!(responding_upstreams(&proxy, 6), "bbbbbb");
    go.send(()).unwrap();
    assert_eq!(body(&slow.reply("GET")), "a");
    proxy.expect_metric("consentry_requests_total{site=\"default\",code=\"2xx\"}", 7.0);
    let all = responding_upstreams(&proxy, 8);
    assert!(all.contains('a'), "{all}");
}

#[test]
fn session_affinity_works_for_visitors_who_refuse_everything() {
    let (a, b) = (named_origin("a"), named_origin("b"));
    let proxy = Proxy::start_with(&format!(
        "[[site]]\nsticky_cookie = \"srv\"\nupstream = [\"{}\", \"{}\"]\n",
        a.url(),
        b.url()
    ));
    let first = proxy.get("/", &[]);
    let cookie = first.field("set-cookie").expect("a cookie").to_owned();
    assert!(cookie.starts_with("srv=") && cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"));
    assert_eq!(first.field("cache-control").as_deref(), Some("private"));
    let pair = format!("{}; {}", cookie.split(';').next().unwrap(), consent_cookie(""));
    for _ in 0..5 {
        let next = proxy.get("/", &[("Cookie", &pair)]);
        assert_eq!(body(&next), body(&first));
        assert_eq!(next.field("set-cookie"), None);
        assert_eq!(next.field("cache-control"), None);
    }
    let forged = proxy.get("/", &[("Cookie", "srv=0000000000000000")]);
    assert!(forged.field("set-cookie").is_some());
}

#[test]
fn an_origin_cannot_set_or_delete_the_affinity_cookie() {
    let lines = ["srv=x; Path=/", "session=1; HttpOnly", "=srv=x", "srv=; Max-Age=0"];
    let (a, b) = (Origin::setting_cookies(&lines), Origin::setting_cookies(&lines));
    let upstream = format!("upstream = [\"{}\", \"{}\"]\n", a.url(), b.url());
    let proxy = Proxy::start_with(&format!(
        "unclassified = 'allow'\n[[site]]\nsticky_cookie = \"srv\"\n{upstream}"
    ));
    let set = proxy.get("/", &[]).set_cookies();
    assert!(set.len() == 2 && set[0] == lines[1] && set[1].starts_with("srv="), "{set:?}");
    assert!(set[1] != lines[0] && set[1].ends_with("SameSite=Lax"), "{set:?}");
    let proxy = Proxy::start_with(&format!("unclassified = 'allow'\n[[site]]\n{upstream}"));
    assert_eq!(proxy.get("/", &[]).set_cookies().len(), lines.len(), "no affinity");
}

#[test]
fn an_unhealthy_upstream_gets_no_requests_until_it_recovers() {
    let well = Arc::new(AtomicBool::new(true));
    let asked = Arc::new(AtomicUsize::new(0));
    let (is_well, counted) = (Arc::clone(&well), Arc::clone(&asked));
    let moody = Origin::scripted(move |received, stream| {
        let health = received.line.contains("/healthz");
        counted.fetch_add(usize::from(health), SeqCst);
        let status = if !health || is_well.load(SeqCst) { "200 OK" } else { "503 Unwell" };
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 1\r\n\r\na");
        stream.write_all(answer.as_bytes()).is_ok()
    });
    let steady = named_origin("b");
    let (moody_url, steady_url) = (moody.url(), steady.url());
    let site = |health: &str| {
        format!("[[site]]\nupstream = [\"{moody_url}\", \"{steady_url}\"]\n{health}")
    };
    let health = "health = { path = \"/healthz\", interval = \"20ms\", healthy_after = 2, unhealthy_after = 2 }\n";
    let proxy = Proxy::start_with(&site(health));
    let up = format!("consentry_upstream_up{{site=\"default\",upstream=\"{moody_url}\"}}");
    assert_eq!(responding_upstreams(&proxy, 4), "abab");
    well.store(false, SeqCst);
    proxy.expect_metric(&up, 0.0);
    proxy.expect_log("upstream unhealthy, removed from rotation");
    assert!(proxy.log().contains("unexpected status 503"));
    assert_eq!(responding_upstreams(&proxy, 4), "bbbb");
    well.store(true, SeqCst);
    proxy.expect_metric(&up, 1.0);
    proxy.expect_log("upstream healthy");
    let all = responding_upstreams(&proxy, 4);
    assert_eq!(all.matches('a').count(), 2, "{all}");
    assert!(asked.load(SeqCst) >= 4);

    // Without a health check the last result is forgotten.
    well.store(false, SeqCst);
    proxy.expect_metric(&up, 0.0);
    proxy.rewrite(&site(""));
    proxy.signal("HUP");
    proxy.expect_metric(&up, 1.0);
}

#[test]
fn retries_stop_at_the_retry_budget() {
    let good = named_origin("a");
    let start = |retries: &str| {
        Proxy::start_with(&format!(
            "{retries}\n[[site]]\nupstream = [\"http://{}\", \"{}\"]\n",
            refusing_address(),
            good.url()
        ))
    };
    let proxy = start("[retries]\npercent = 0\nleast = 0");
    assert_eq!(proxy.get("/", &[]).status, 502);
    assert!(good.received_nothing());
    assert_eq!(proxy.metric("consentry_upstream_retries_total"), 0.0);
    let proxy = start("");
    assert_eq!(responding_upstreams(&proxy, 1), "a");
    assert_eq!(proxy.metric("consentry_upstream_retries_total"), 1.0);
}

#[test]
fn sites_share_a_host_by_path_prefix() {
    let (root, shop) = (named_origin("root"), named_origin("shop"));
    let proxy = Proxy::start_with(&format!(
        "[[site]]\nname = \"root\"\nhosts = [\"shop.example\"]\nupstream = \"{}\"\n\
         [[site]]\nname = \"shop\"\nhosts = [\"shop.example\"]\npaths = [\"/shop\"]\nupstream = \"{}\"\n\
         [[site]]\nname = \"only\"\nhosts = [\"only.example\"]\npaths = [\"/only\"]\nupstream = \"{}\"\n",
        root.url(),
        shop.url(),
        shop.url()
    ));
    for (path, expected) in [
        ("/", "root"),
        ("/shop", "shop"),
        ("/shop/cart?x=/", "shop"),
        ("/shopping", "root"),
        ("/%73hop", "shop"),
        ("/a/../shop", "shop"),
    ] {
        assert_eq!(body(&proxy.get(path, &[])), expected, "{path}");
    }
    assert_eq!(shop.next_request().line, "GET /shop HTTP/1.1", "the path is unchanged");
    let elsewhere = |host, path| proxy.get(path, &[("Host", host)]);
    assert_eq!(elsewhere("only.example", "/other").status, 404);
    assert_eq!(elsewhere("only.example", "/.consentry/").status, 200);
    let misdirected = elsewhere("unknown.example", "/");
    assert_eq!(misdirected.status, 421);
    assert!(body(&misdirected).contains("No site for this host."));
}

#[test]
fn bodies_over_the_limit_are_rejected_by_length_or_while_streaming() {
    let origin = named_origin("a");
    let proxy = Proxy::start(&origin, "[limits]\nbody_bytes = 10");
    let mut client = proxy.connect();
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789");
    assert_eq!(client.reply("POST").status, 200);
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n");
    assert_eq!(client.reply("POST").status, 413);

    let mut client = proxy.connect();
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(b"6\r\n012345\r\n");
    client.send(b"6\r\n012345\r\n0\r\n\r\n");
    assert_eq!(client.reply("POST").status, 413);
    assert_eq!(origin.next_request().body.len(), 10);
    assert!(origin.received_nothing(), "no complete request over the limit has reached the origin");
}

#[test]
fn requests_over_the_rate_limit_get_429_with_retry_after() {
    let origin = named_origin("a");
    let proxy = Proxy::start(&origin, "[limits]\nrequests_per_second = 1\nburst = 3");
    let mut client = proxy.connect();
    client.send(&request("GET", "/", &[]).repeat(4));
    for _ in 0..3 {
        assert_eq!(client.reply("GET").status, 200);
    }
    let refused = client.reply("GET");
    assert_eq!(refused.status, 429);
    assert_eq!(refused.field("retry-after").as_deref(), Some("1"));
    proxy.expect_metric("consentry_errors_total{kind=\"too_many_requests\"}", 1.0);
}

#[test]
fn the_rate_limit_counts_visitors_behind_a_trusted_proxy_separately() {
    let origin = named_origin("a");
    let proxy = Proxy::start_with(&format!(
        "[listen]\ntrusted_proxies = [\"127.0.0.1\"]\n[limits]\nrequests_per_second = 1\nburst = 1\n[[site]]\nupstream = \"{}\"\n",
        origin.url()
    ));
    let [one, two] = [("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-For", "192.0.2.2")];
    assert_eq!(proxy.pipeline(&[&[one], &[one], &[two]]), [200, 429, 200]);
}

#[test]
fn requests_over_the_concurrency_limit_queue_then_get_503() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let origin = Origin::scripted(move |_, stream| {
        wait.lock().unwrap().recv().unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na").is_ok()
    });
    let proxy = Proxy::start_with(&format!(
        "[[site]]\nupstream = \"{}\"\nlimits = {{ concurrent_requests = 1, queue = 1, queue_timeout = \"1m\" }}\n",
        origin.url()
    ));
    let mut first = proxy.connect();
    first.send(&request("GET", "/1", &[]));
    assert!(origin.next_request().line.contains("/1"));
    // One of these requests is queued and the other rejected, in either order.
    let (mut second, mut third) = (proxy.connect(), proxy.connect());
    second.send(&request("GET", "/2", &[]));
    third.send(&request("GET", "/3", &[]));
    proxy.expect_metric("consentry_errors_total{kind=\"overloaded\"}", 1.0);
    // Requests for consentry's own pages do not count.
    assert_eq!(proxy.get("/.consentry/", &[]).status, 200);
    go.send(()).unwrap();
    go.send(()).unwrap();
    assert_eq!(first.reply("GET").status, 200);
    let replies = [second.reply("GET"), third.reply("GET")];
    let refused = replies.iter().find(|reply| reply.status == 503).expect("one is refused");
    assert_eq!(refused.field("retry-after").as_deref(), Some("1"));
    assert!(replies.iter().any(|reply| reply.status == 200));
}

#[test]
fn connections_over_the_limit_wait_in_the_accept_queue() {
    let origin = named_origin("a");
    let proxy = Proxy::start(&origin, "[limits]\nconnections = 1");
    let mut first = proxy.connect();
    first.send(&request("GET", "/", &[]));
    assert_eq!(first.reply("GET").status, 200);
    let mut second = proxy.connect();
    second.send(&request("GET", "/second", &[]));
    origin.next_request();
    // The first connection is still served.
    first.send(&request("GET", "/again", &[]));
    assert_eq!(first.reply("GET").status, 200);
    assert!(origin.next_request().line.contains("/again"));
    assert_eq!(proxy.metric("consentry_open_connections"), 1.0);
    drop(first);
    assert_eq!(second.reply("GET").status, 200);
}

#[test]
fn upstream_time_and_proxy_time_are_measured_separately() {
    let origin = named_origin("a");
    let proxy = Proxy::start(&origin, "");
    proxy.get("/", &[]);
    proxy.get("/.consentry/", &[]);
    proxy.expect_metric("consentry_own_duration_seconds_count{site=\"default\"}", 2.0);
    proxy.expect_metric("consentry_upstream_duration_seconds_count{site=\"default\"}", 1.0);
}

#[test]
fn affinity_cookies_hide_the_address_and_match_on_replicas_with_the_same_keys() {
    let (a, b) = (named_origin("a"), named_origin("b"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    let (old, new) = ("0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210");
    std::fs::write(&file, old).unwrap();
    let toml = |keys: &str| {
        format!(
            "{keys}\n[[site]]\nsticky_cookie = \"srv\"\nupstream = [\"{}\", \"{}\"]\n",
            a.url(),
            b.url()
        )
    };
    let keyed = toml(&format!("consent.key_file = '{}'", file.display()));
    let cookie = |proxy: &Proxy| {
        let line = proxy.get("/", &[]).field("set-cookie").expect("a cookie").to_owned();
        line.split(';').next().unwrap().to_owned()
    };
    // Each process has its own random key, so the same address gets another tag.
    let (one, other) = (Proxy::start_with(&toml("")), Proxy::start_with(&toml("")));
    assert_ne!(cookie(&one), cookie(&other));
    let (one, other) = (Proxy::start_with(&keyed), Proxy::start_with(&keyed));
    let first = cookie(&one);
    assert_eq!(first, cookie(&other));
    // The new key is listed first, and the old one is still accepted.
    std::fs::write(&file, format!("{new}\n{old}\n")).unwrap();
    one.signal("HUP");
    one.expect_metric("consentry_config_reloads_total{result=\"done\"}", 1.0);
    let kept = one.get("/", &[("Cookie", &first)]);
    assert_eq!((body(&kept), kept.field("set-cookie")), ("a".to_owned(), None));
    assert_ne!(cookie(&one), first);
}
