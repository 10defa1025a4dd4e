//! A rolling restart of two processors under load.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;

use crate::support::{Envoy, Origin, Proxy, RawClient, request, wait_until};

const OK: &str = "HTTP/1.1 200 OK\r\nSet-Cookie: _ga=1\r\nContent-Length: 2\r\n\r\nok";
const CONNECTIONS: usize = 4;

fn start(origin: &Origin, listen: &str) -> Proxy {
    let toml = format!(
        "log.access = false\ntimeouts.drain_delay = '2s'\n[[site]]\nupstream = '{}'\n",
        origin.url()
    );
    Proxy::start_without_envoy("ext-proc", listen, &toml)
}

/// Sends requests one after the other until `stop` is set. Counts the responses, and returns each wrong one.
fn load(address: SocketAddr, stop: &AtomicBool, answered: &AtomicUsize) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut client = RawClient::connect(address);
    while !stop.load(Relaxed) {
        client.send(&request("GET", "/", &[("Cookie", "_ga=1")]));
        let reply = client.reply("GET");
        if reply.status != 200 || !reply.set_cookies().is_empty() {
            wrong.push(format!("{} {}", reply.status, reply.text()));
        }
        answered.fetch_add(1, Relaxed);
        // Rate-limited, because the other tests run at the same time.
        thread::sleep(std::time::Duration::from_millis(5));
    }
    wrong
}

#[test]
fn a_rolling_restart_of_two_processors_loses_no_request() {
    let origin = Origin::responding(OK);
    let mut processors = [start(&origin, "127.0.0.1:0"), start(&origin, "127.0.0.1:0")];
    let addresses = [processors[0].process, processors[1].process];
    let folder = tempfile::tempdir().unwrap();
    let envoy = Envoy::start_edited(folder.path(), origin.address, &addresses, str::to_owned);
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let wait_for = |more: usize| {
        let goal = answered.load(Relaxed) + more;
        wait_until("the load goes on", || answered.load(Relaxed) >= goal);
    };
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (stop, answered, at) = (Arc::clone(&stop), Arc::clone(&answered), envoy.address);
            thread::spawn(move || load(at, &stop, &answered))
        })
        .collect();
    wait_for(200);
    for number in 0..2 {
        let old = &mut processors[number];
        old.signal("TERM");
        assert!(old.exit_status().success());
        processors[number] = start(&origin, &addresses[number].to_string());
        // Envoy sends requests to a processor only after it has passed a health check.
        let new = &processors[number];
        new.wait_until("the new processor is used", || {
            new.metric("consentry_requests_total{site=\"default\",code=\"2xx\"}") >= 10.0
        });
    }
    stop.store(true, Relaxed);
    let wrong: Vec<String> =
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
    let total = answered.load(Relaxed);
    assert!(total > 500, "{total}");
    assert_eq!(wrong, Vec::<String>::new(), "of {total}; Envoy: {}", envoy.log());
}
