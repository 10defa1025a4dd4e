//! A shared cache in front of consentry: a response stripped for one visitor is never served to another.

use crate::nginx::{Nginx, folder};
use crate::support::{Origin, Proxy, RawClient, request};

fn origin_requests_behind_cache(fields: &str) -> usize {
    let origin =
        Origin::responding(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\nok"));
    let proxy = Proxy::start(&origin, "");
    let folder = folder();
    let cache = Nginx::start(
        folder.path(),
        &format!(
            "proxy_cache_path {{folder}}/cache keys_zone=z:1m; server {{ listen 127.0.0.1:{{port}};
               location / {{ proxy_cache z; proxy_cache_valid 200 1m; proxy_pass http://{}; }} }}",
            proxy.address
        ),
    );
    for _ in 0..3 {
        let mut client = RawClient::connect(cache.address);
        client.send(&request("GET", "/", &[]));
        assert_eq!(client.reply("GET").text(), "ok");
    }
    std::iter::from_fn(|| (!origin.received_nothing()).then_some(())).count()
}

#[test]
fn a_real_cache_stores_static_responses_and_not_stripped_ones() {
    assert_eq!(origin_requests_behind_cache(""), 1, "stored");
    assert_eq!(origin_requests_behind_cache("Cache-Control: max-age=60\r\n"), 1, "stored");
    assert_eq!(origin_requests_behind_cache("Set-Cookie: _ga=1\r\n"), 3, "stripped: not stored");
    assert_eq!(
        origin_requests_behind_cache("Set-Cookie: _ga=1\r\nCache-Control: public, max-age=60\r\n"),
        3
    );
    assert_eq!(origin_requests_behind_cache("Set-Cookie: _ga=1\r\nX-Accel-Expires: 60\r\n"), 3);
}
