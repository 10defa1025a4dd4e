//! Config reloads under load: all or nothing, and no failed request.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use crate::support::{Origin, Proxy, refusing_address, request};

const DONE: &str = "consentry_config_reloads_total{result=\"done\"}";
const FAILED: &str = "consentry_config_reloads_total{result=\"failed\"}";

fn toml(origin: &Origin, more: &str) -> String {
    format!("{more}\n[[site]]\nname = 'shop'\nupstream = '{}'\n", origin.url())
}

/// The names of the cookies that a visitor without a decision receives.
fn names(proxy: &Proxy) -> Vec<String> {
    let lines = proxy.get("/", &[]).set_cookies();
    lines.iter().map(|line| line.split('=').next().unwrap().to_owned()).collect()
}

#[test]
fn sighup_reloads_the_config_and_keeps_counters() {
    let origin = Origin::setting_cookies(&["_ga=1", "own=1", "sid=1"]);
    let proxy = Proxy::start_with(&toml(&origin, ""));
    assert_eq!(names(&proxy), ["sid"]);
    let stripped = "consentry_cookies_stripped_total{site=\"shop\",category=\"analytics\",mode=\"enforce\",direction=\"response\"}";
    proxy.expect_metric(stripped, 1.0);
    proxy.reload(&toml(&origin, "[[cookie]]\nname = 'own'\ncategory = 'necessary'\n"));
    assert_eq!(names(&proxy), ["own", "sid"]);
    proxy.expect_metric(stripped, 2.0);
    proxy.expect_metric("consentry_requests_total{site=\"shop\",code=\"2xx\"}", 2.0);
    // The upstream connection and the inventory are kept.
    proxy.expect_metric("consentry_upstream_connections_total", 1.0);
    let inventory: serde_json::Value = serde_json::from_str(&proxy.admin("/inventory").1).unwrap();
    let cookies = inventory["shop"]["cookies"].as_array().unwrap();
    let set = |name: &str| {
        let all: Vec<_> = cookies.iter().filter(|received| received["name"] == name).collect();
        assert_eq!(all.len(), 1, "{name} {inventory:#}");
        (all[0]["set"].clone(), all[0]["category"].clone())
    };
    assert_eq!(set("_ga"), (2.into(), "analytics".into()));
    assert_eq!(set("own"), (2.into(), "necessary".into()), "known now, and counted on");
}

#[test]
fn an_invalid_config_keeps_the_previous_one_and_is_reported_until_fixed() {
    let origin = Origin::setting_cookies(&["_ga=1", "sid=1"]);
    let proxy = Proxy::start_with(&toml(&origin, ""));
    let wrong = "mode = 'observe'\nunclassified = 'perhaps'\n[consent]\nmax_age_days = 0\n";
    proxy.rewrite(&toml(&origin, wrong));
    proxy.signal("HUP");
    // The file change may be noticed before the signal, so that the file is read twice.
    proxy.wait_until("the reload has failed", || proxy.metric(FAILED) > 0.0);
    assert_eq!(names(&proxy), ["sid"]);
    proxy.expect_log("unclassified");
    proxy.expect_log("consent.max_age_days");
    assert_eq!(proxy.metric("consentry_config_last_reload_successful"), 0.0);
    let (status, ready) = proxy.admin("/readyz");
    assert_eq!(
        (status, ready.as_str()),
        (200, "ready, degraded: config reload failed, previous config in force\n")
    );
    // The corrected file needs no signal.
    proxy.rewrite(&toml(&origin, "mode = 'observe'\n"));
    proxy.expect_metric(DONE, 1.0);
    assert_eq!(names(&proxy), ["_ga", "sid"]);
    assert_eq!(proxy.admin("/readyz").1, "ready\n");
    assert_eq!(proxy.metric("consentry_config_last_reload_successful"), 1.0);
}

#[test]
fn changed_files_and_swapped_symlinks_are_detected() {
    let origin = Origin::setting_cookies(&["own=1", "sid=1"]);
    let folder = tempfile::tempdir().unwrap();
    let rules = |version: &str, text: &str| {
        let path = folder.path().join(version);
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("rules.toml"), text).unwrap();
    };
    rules("one", "[[cookie]]\nname = 'own'\ncategory = 'targeting'\n");
    rules("two", "[[cookie]]\nname = 'own'\ncategory = 'necessary'\n");
    // Like a ConfigMap update in Kubernetes: a symbolic link to a directory, replaced atomically.
    let link = |to: &str| {
        let (new, data) = (folder.path().join("new"), folder.path().join("data"));
        std::os::unix::fs::symlink(folder.path().join(to), &new).unwrap();
        std::fs::rename(new, data).unwrap();
    };
    link("one");
    let catalogue = folder.path().join("data/rules.toml");
    let proxy = Proxy::start_with(&toml(
        &origin,
        &format!("catalogue = ['builtin', '{}']", catalogue.display()),
    ));
    assert_eq!(names(&proxy), ["sid"]);
    link("two");
    proxy.expect_metric(DONE, 1.0);
    assert_eq!(names(&proxy), ["own", "sid"]);
}

#[test]
fn a_request_in_flight_keeps_its_config() {
    let (let_go, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let origin = Origin::scripted(move |received, stream| {
        if received.line.contains("/slow") {
            held.lock().unwrap().recv().unwrap();
        }
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: _ga=1\r\n\r\n")
            .unwrap();
        true
    });
    let proxy = Proxy::start_with(&toml(&origin, ""));
    let mut client = proxy.connect();
    client.send(&request("GET", "/slow", &[]));
    origin.next_request();
    proxy.reload(&toml(&origin, "mode = 'observe'\n"));
    assert_eq!(names(&proxy), ["_ga"], "a new request is only observed");
    let_go.send(()).unwrap();
    assert!(client.reply("GET").set_cookies().is_empty());
    // Each counted once, under its mode.
    proxy.expect_metric("consentry_requests_total{site=\"shop\",code=\"2xx\"}", 2.0);
}

#[test]
fn no_request_fails_during_a_hundred_reloads() {
    let origin = Arc::new(Origin::setting_cookies(&["_ga=1", "sid=1"]));
    let rules = "[[cookie]]\nname = '_ga'\ncategory = 'analytics'\n[[cookie]]\nname = 'sid'\ncategory = 'necessary'\n";
    let config = |mode| toml(&origin, &format!("mode = '{mode}'\ncatalogue = []\n{rules}"));
    let proxy = Arc::new(Proxy::start_with(&config("enforce")));
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|number| {
            let (proxy, stop, answered) =
                (Arc::clone(&proxy), Arc::clone(&stop), Arc::clone(&answered));
            std::thread::spawn(move || {
                let mut client = proxy.connect();
                while !stop.load(Relaxed) {
                    client.send(&request("GET", &format!("/{number}"), &[]));
                    let reply = client.reply("GET");
                    assert_eq!(reply.status, 200);
                    let cookies = reply.set_cookies();
                    assert!(cookies == ["sid=1"] || cookies == ["_ga=1", "sid=1"], "{cookies:?}");
                    answered.fetch_add(1, Relaxed);
                }
            })
        })
        .collect();
    for number in 1..=100 {
        let mode = if number % 2 == 0 { "enforce" } else { "observe" };
        proxy.reload(&config(mode));
    }
    stop.store(true, Relaxed);
    clients.into_iter().for_each(|client| client.join().unwrap());
    let answered = answered.load(Relaxed);
    assert!(answered > 100, "{answered}");
    // Each request was counted exactly once.
    proxy.expect_metric("consentry_requests_total{site=\"shop\",code=\"2xx\"}", answered as f64);
}

#[test]
fn upstream_health_survives_new_weights_and_tls_settings() {
    // Nothing listens at this address. Only the first request finds out.
    let dead = refusing_address();
    let origin = Origin::responding("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb");
    for (scheme, before, after) in [
        ("http", "", ""),
        (
            "https",
            "upstream_tls = { insecure_skip_verify = true }",
            "upstream_tls = { http2 = false }",
        ),
    ] {
        let dead = format!("{scheme}://{dead}");
        let site = |weight: u32, more: &str| {
            format!(
                "[[site]]\n{more}\nupstream = [{{ url = '{dead}', weight = {weight} }}, '{}']\n",
                origin.url()
            )
        };
        let proxy = Proxy::start_with(&site(1, before));
        let next_pause = |known: usize| {
            proxy.wait_until("the next ejection", || {
                assert_eq!(proxy.get("/", &[]).text(), "b");
                ejection_times(&proxy).len() > known
            });
            ejection_times(&proxy)
        };
        let known = next_pause(0);
        proxy.reload(&site(2, after));
        // The backoff grows with each consecutive refusal.
        let expected: Vec<_> = (0..=known.len()).map(|count| 1 << count).collect();
        assert_eq!(next_pause(known.len()), expected, "{scheme}");
    }
}

/// The ejection times of the only upstream, in seconds.
fn ejection_times(proxy: &Proxy) -> Vec<u64> {
    let log = proxy.log();
    let pause = |line: &str| line.split_once("\"pause\":\"")?.1.split('s').next()?.parse().ok();
    log.lines()
        .filter(|line| line.contains("upstream refused connection, ejected"))
        .filter_map(pause)
        .collect()
}

#[test]
fn upstream_connections_survive_a_new_weight() {
    let (a, b) = (Origin::setting_cookies(&["sid=a"]), Origin::setting_cookies(&["sid=b"]));
    let site = |weight: u32| {
        format!(
            "[[site]]\nupstream = [{{ url = '{}', weight = {weight} }}, '{}']\n",
            a.url(),
            b.url()
        )
    };
    let proxy = Proxy::start_with(&site(1));
    let mut client = proxy.connect();
    let mut get = || {
        client.send(&request("GET", "/", &[]));
        client.reply("GET").set_cookies()
    };
    assert_eq!([get(), get()].concat(), ["sid=a", "sid=b"]);
    proxy.reload(&site(3));
    let reached = [get(), get(), get(), get()].concat();
    assert_eq!(reached.iter().filter(|line| *line == "sid=a").count(), 3, "{reached:?}");
    proxy.expect_metric("consentry_upstream_connections_total", 2.0);
}
