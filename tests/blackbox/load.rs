//! Overload and slow clients: accepted requests are answered in time, and rejected ones get `Retry-After`. The
//! proxy recovers when the load ends.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::{Origin, Proxy, Visitor, request};

const OK: &str = "HTTP/1.1 200 OK\r\nSet-Cookie: _ga=1\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn ten_thousand_idle_connections_use_little_memory_and_are_all_served() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let origin = Origin::answering(OK);
    let proxy = Proxy::start(&origin, "timeouts.idle = '10m'");
    let before = proxy.peak_kib();
    let ask = |visitor: &mut Visitor| {
        visitor.send(&request("GET", "/", &[("Cookie", "_ga=1; sid=1")]));
        let reply = visitor.reply("GET");
        assert_eq!((reply.status, reply.set_cookies()), (200, vec![]));
    };
    let mut visitors: Vec<Visitor> = (0..10_000)
        .map(|_| {
            let mut visitor = proxy.visit();
            ask(&mut visitor);
            visitor
        })
        .collect();
    assert_eq!(proxy.metric("consentry_open_connections"), 10_000.0);
    let each = proxy.peak_kib().saturating_sub(before) / 10;
    assert!(each < 8_000, "{each} bytes for each connection");
    assert_eq!(proxy.admin("/readyz").0, 200);
    visitors.iter_mut().step_by(97).for_each(ask);
    assert_eq!(proxy.get("/", &[]).status, 200);
    drop(visitors);
    proxy.expect_metric("consentry_open_connections", 0.0);
}

#[test]
fn at_three_times_the_capacity_some_requests_succeed_and_the_rest_get_503() {
    let origin = Origin::scripted(|_, stream| {
        thread::sleep(Duration::from_millis(20));
        stream.write_all(OK.as_bytes()).is_ok()
    });
    // Eight concurrent requests of twenty milliseconds: four hundred per second.
    let proxy = Proxy::start(
        &origin,
        "[limits]\nconcurrent_requests = 8\nqueue = 8\nqueue_timeout = '200ms'",
    );
    let (served, refused, over) =
        (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    let slowest = Mutex::new(Duration::ZERO);
    thread::scope(|scope| {
        for _ in 0..48 {
            scope.spawn(|| {
                let mut visitor = proxy.visit();
                while !over.load(Relaxed) {
                    let began = Instant::now();
                    visitor.send(&request("GET", "/", &[]));
                    let reply = visitor.reply("GET");
                    match reply.status {
                        200 => {
                            served.fetch_add(1, Relaxed);
                            let mut slowest = slowest.lock().unwrap();
                            *slowest = slowest.max(began.elapsed());
                        }
                        503 => {
                            assert_eq!(reply.field("retry-after").as_deref(), Some("1"));
                            refused.fetch_add(1, Relaxed);
                        }
                        other => panic!("{other}"),
                    }
                }
            });
        }
        while served.load(Relaxed) < 600 {
            let began = Instant::now();
            assert_eq!(proxy.admin("/readyz").0, 200);
            assert!(began.elapsed() < Duration::from_secs(1), "health is answered in time");
        }
        over.store(true, Relaxed);
    });
    let (served, refused) = (served.load(Relaxed), refused.load(Relaxed));
    assert!(refused > served, "{refused} refused, {served} served");
    // The queue, the origin, and a busy machine.
    let slowest = *slowest.lock().unwrap();
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    let began = Instant::now();
    assert_eq!(proxy.get("/", &[]).status, 200, "it is over when the load is");
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[test]
fn a_thousand_slow_clients_time_out_without_delaying_others() {
    let origin = Origin::answering(OK);
    let proxy = Arc::new(Proxy::start(&origin, "timeouts.request_head = '1s'"));
    let mut slow: Vec<Visitor> = (0..1000).map(|_| proxy.visit()).collect();
    for visitor in &mut slow {
        visitor.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ");
    }
    let began = Instant::now();
    for _ in 0..50 {
        assert_eq!(proxy.get("/", &[]).status, 200);
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    for visitor in slow {
        visitor.closed();
    }
    proxy.expect_metric("consentry_open_connections", 0.0);
}
