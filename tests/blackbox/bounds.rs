//! Limits on connections and on discarded bytes, counted from outside.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier};

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};

use tokio::sync::Semaphore;

use crate::support::{Origin, Proxy, RawClient, TIMEOUT, request};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Sends `count` concurrent requests and returns their statuses.
fn concurrent_statuses(proxy: &Proxy, count: usize) -> Vec<u16> {
    let mut clients: Vec<RawClient> = (0..count).map(|_| proxy.connect()).collect();
    clients.iter_mut().for_each(|client| client.send(&request("GET", "/", &[])));
    clients.iter_mut().map(|client| client.reply("GET").status).collect()
}

#[test]
fn idle_upstream_connections_are_limited_by_the_config() {
    let together = Barrier::new(4);
    let origin = Origin::scripted(move |_, stream| {
        together.wait();
        stream.write_all(OK.as_bytes()).is_ok()
    });
    let toml = "workers = 1\nlimits.idle_upstream_connections = 1\ntimeouts.upstream_idle = '1h'";
    let proxy = Proxy::start(&origin, toml);
    assert_eq!(concurrent_statuses(&proxy, 4), [200; 4]);
    let mut closed: Vec<usize> = (0..3).map(|_| origin.next_closed_connection()).collect();
    closed.sort_unstable();
    closed.dedup();
    assert_eq!(closed.len(), 3);
    // The last connection is kept, so four more requests need three more connections.
    assert_eq!(concurrent_statuses(&proxy, 4), [200; 4]);
    proxy.expect_metric("consentry_upstream_connections_total", 7.0);
}

#[test]
fn unused_upstream_connections_are_closed() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "workers = 1\ntimeouts.upstream_idle = '50ms'");
    assert_eq!(proxy.get("/", &[]).status, 200);
    assert_eq!(origin.next_closed_connection(), 0);
}

#[test]
fn a_client_connection_keeps_at_most_8_private_upstream_connections() {
    let origin = Origin::responding(OK);
    let sites: String = (0..9)
        .map(|site| {
            format!("[[site]]\nhosts = ['s{site}.example']\nupstream = '{}'\n", origin.url())
        })
        .collect();
    let proxy = Proxy::start_with(&format!("workers = 1\ntimeouts.upstream_idle = '1h'\n{sites}"));
    let mut client = proxy.connect();
    for site in 0..9 {
        let host = format!("s{site}.example");
        let fields = [("Host", host.as_str()), ("Authorization", "NTLM T1")];
        client.send(&request("GET", "/", &fields));
        assert_eq!(client.reply("GET").status, 200);
    }
    assert_eq!(origin.next_closed_connection(), 8, "the ninth has no place");
}

#[test]
fn an_unread_body_is_drained_up_to_64_kib_before_the_connection_closes() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "");
    let mut client = proxy.connect();
    client.send(&request("POST", "/matomo.php", &[("Transfer-Encoding", "chunked")]));
    let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
    client.send(&chunk);
    assert_eq!(client.reply("POST").status, 204);
    // More than the buffers of a connection.
    let mut sent = 0;
    while sent < 1024 && client.stream.write_all(&chunk).is_ok() {
        sent += 1;
    }
    assert!(sent < 1024, "64 MiB of it were read");
    assert!(origin.received_nothing());
}

/// An h2c origin that allows 1000 streams per connection, and responds once `count` requests have arrived. Records
/// the maximum number of requests on one connection, and each closed connection.
async fn counting_http2_origin(
    count: usize,
    most: Arc<AtomicUsize>,
    ended: Arc<Semaphore>,
) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let all = Arc::new(tokio::sync::Barrier::new(count));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (all, most, here) =
                (Arc::clone(&all), Arc::clone(&most), Arc::new(AtomicUsize::new(0)));
            let answer = service_fn(move |_| {
                let (all, most, here) = (Arc::clone(&all), Arc::clone(&most), Arc::clone(&here));
                async move {
                    most.fetch_max(here.fetch_add(1, Relaxed) + 1, Relaxed);
                    all.wait().await;
                    Ok::<_, std::convert::Infallible>(http::Response::new(Full::<Bytes>::from(
                        "ok",
                    )))
                }
            });
            let mut server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            server.max_concurrent_streams(1000);
            let (serves, ended) =
                (server.serve_connection(TokioIo::new(stream), answer), Arc::clone(&ended));
            tokio::spawn(async move {
                let _ = serves.await;
                ended.add_permits(1);
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_http_2_upstream_connection_has_at_most_100_streams_and_closes_when_idle() {
    let most = Arc::new(AtomicUsize::new(0));
    let ended = Arc::new(Semaphore::new(0));
    let address = counting_http2_origin(150, Arc::clone(&most), Arc::clone(&ended)).await;
    let toml = format!(
        "workers = 1\ntimeouts.upstream_idle = '500ms'\n[[site]]\nupstream = 'h2c://{address}'\n"
    );
    let proxy = Proxy::start_with(&toml);
    let statuses = tokio::task::block_in_place(|| concurrent_statuses(&proxy, 150));
    assert_eq!(statuses, [200; 150]);
    let most = most.load(Relaxed);
    assert!(most <= 100, "{most}");
    // Both connections are closed when they become idle.
    let closed = tokio::time::timeout(TIMEOUT, ended.acquire_many(2)).await;
    assert!(closed.is_ok());
}

/// Words that the inventory does not merge into one name.
fn words(count: usize) -> Vec<String> {
    let letter = |number: usize| char::from(b'a' + u8::try_from(number % 16).unwrap());
    (0..count).map(|number| ['k', letter(number / 16), letter(number)].iter().collect()).collect()
}

#[test]
fn a_guard_report_records_at_most_64_names_of_each_kind() {
    let origin = Origin::responding(OK);
    let toml = "page.guard = true\n[[host]]\nname = 't.example'\ncategory = 'targeting'";
    let proxy = Proxy::start(&origin, toml);
    let names = words(100);
    let hosts: Vec<String> = names.iter().map(|name| format!("{name}.t.example")).collect();
    let body = serde_json::json!({ "cookies": names, "storage": names, "hosts": hosts });
    assert_eq!(proxy.post("/.consentry/held-back", &body.to_string(), &[]).status, 204);
    let inventory: serde_json::Value = serde_json::from_str(&proxy.admin("/inventory").1).unwrap();
    let items = inventory["default"]["held_back"].as_array().unwrap();
    for kind in ["cookie", "storage", "host"] {
        assert_eq!(items.iter().filter(|item| item["kind"] == kind).count(), 64, "{kind}");
    }
}

#[test]
fn posted_bodies_above_4_kib_are_rejected_by_length_or_while_streaming() {
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "centre.api = true\npage.guard = true");
    for path in ["/.consentry/", "/.consentry/consent", "/.consentry/held-back"] {
        for (framing, body) in [
            ("Content-Length: 4097", Vec::new()),
            (
                "Transfer-Encoding: chunked",
                [b"1001\r\n".as_slice(), &[b'x'; 4097], b"\r\n"].concat(),
            ),
        ] {
            let mut client = proxy.connect();
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: shop.example\r\nSec-Fetch-Site: same-origin\r\n\
                 Content-Type: {}\r\n{framing}\r\n\r\n",
                if path.ends_with('/') {
                    "application/x-www-form-urlencoded"
                } else {
                    "application/json"
                }
            );
            client.send(&[head.into_bytes(), body].concat());
            assert_eq!(client.reply("POST").status, 413, "{path} {framing}");
        }
    }
}

#[test]
fn the_notice_lists_at_most_200_cookies_per_category_and_the_preferences_12() {
    let origin = Origin::responding(OK);
    let rules: String = words(250)
        .iter()
        .map(|name| format!("[[cookie]]\nname = 'acme_{name}'\ncategory = 'analytics'\n"))
        .collect();
    let proxy = Proxy::start(&origin, &format!("catalogue = []\n{rules}"));
    for (path, listed) in [("/.consentry/notice", 200), ("/.consentry/", 12)] {
        let page = proxy.get(path, &[]);
        assert_eq!(page.status, 200, "{path}");
        assert_eq!(page.text().matches("acme_").count(), listed, "{path}");
    }
}
