//! Overload and slow clients: accepted requests get a response in time, and rejected ones get `Retry-After`. The
//! proxy recovers when the load ends.

use std::io::Write;
use std::sync::Mutex;
use std::sync::mpsc;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::{Origin, Proxy, RawClient, Reply, request};

const OK: &str = "HTTP/1.1 200 OK\r\nSet-Cookie: _ga=1\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn ten_thousand_idle_connections_use_little_memory_and_are_all_served() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let origin = Origin::responding(OK);
    let proxy = Proxy::start(&origin, "timeouts.idle = '10m'");
    let before = proxy.peak_kib();
    let ask = |client: &mut RawClient| {
        client.send(&request("GET", "/", &[("Cookie", "_ga=1; sid=1")]));
        let reply = client.reply("GET");
        assert_eq!((reply.status, reply.set_cookies()), (200, vec![]));
    };
    let mut clients: Vec<RawClient> = (0..10_000)
        .map(|_| {
            let mut client = proxy.connect();
            ask(&mut client);
            client
        })
        .collect();
    assert_eq!(proxy.metric("consentry_open_connections"), 10_000.0);
    let each = proxy.peak_kib().saturating_sub(before) / 10;
    assert!(each < 8_000, "{each} bytes for each connection");
    assert_eq!(proxy.admin("/readyz").0, 200);
    clients.iter_mut().step_by(97).for_each(ask);
    assert_eq!(proxy.get("/", &[]).status, 200);
    drop(clients);
    proxy.expect_metric("consentry_open_connections", 0.0);
}

#[test]
fn at_three_times_the_queue_length_the_excess_is_rejected_and_the_queue_is_served() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let origin = Origin::scripted(move |_, stream| {
        wait.lock().unwrap().recv().is_ok() && stream.write_all(OK.as_bytes()).is_ok()
    });
    let proxy =
        Proxy::start(&origin, "[limits]\nconcurrent_requests = 8\nqueue = 8\nqueue_timeout = '1m'");
    let mut clients: Vec<RawClient> = (0..48).map(|_| proxy.connect()).collect();
    clients.iter_mut().for_each(|client| client.send(&request("GET", "/", &[])));
    // None of the first eight has a response yet.
    proxy.expect_metric("consentry_errors_total{kind=\"overloaded\"}", 32.0);
    (0..8).for_each(|_| drop(origin.next_request()));
    assert!(origin.received_nothing());
    assert_eq!(proxy.admin("/readyz").0, 200);
    (0..17).for_each(|_| go.send(()).unwrap());
    let replies: Vec<Reply> = clients.iter_mut().map(|client| client.reply("GET")).collect();
    let (served, rejected): (Vec<_>, Vec<_>) =
        replies.iter().partition(|reply| reply.status == 200);
    assert_eq!((served.len(), rejected.len()), (16, 32));
    for reply in rejected {
        assert_eq!((reply.status, reply.field("retry-after").as_deref()), (503, Some("1")));
    }
    assert_eq!(proxy.get("/", &[]).status, 200, "it is over when the load is");
}

#[test]
fn a_thousand_slow_clients_time_out_without_delaying_others() {
    let origin = Origin::responding(OK);
    let toml = |head: &str| {
        format!("timeouts.request_head = '{head}'\n[[site]]\nupstream = '{}'\n", origin.url())
    };
    let proxy = Proxy::start_with(&toml("1h"));
    let mut slow: Vec<RawClient> = (0..1000).map(|_| proxy.connect()).collect();
    for client in &mut slow {
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ");
    }
    // None of the slow clients is disconnected yet.
    for _ in 0..50 {
        assert_eq!(proxy.get("/", &[]).status, 200);
    }
    proxy.reload(&toml("200ms"));
    for client in slow {
        client.closed();
    }
    proxy.expect_metric("consentry_open_connections", 0.0);
}
