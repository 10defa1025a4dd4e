//! Other filters of Envoy in front of the processor, and its processing modes.

use crate::support::{Envoy, Origin, Proxy, RawClient, Reply, request};

const OK: &str = "HTTP/1.1 200 OK\r\nSet-Cookie: _ga=1\r\nContent-Length: 2\r\n\r\nok";
const EXT_PROC: &str = "                  - name: envoy.filters.http.ext_proc\n";
/// Filters that send local replies to preflights, health checks, denied paths and every fourth request.
const LOCAL_REPLIES: &str = r#"                  - name: envoy.filters.http.cors
                    typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors }
                  - name: envoy.filters.http.health_check
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck
                      pass_through_mode: false
                      headers: [{ name: ":path", string_match: { exact: "/hc" } }]
                  - name: envoy.filters.http.rbac
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC
                      rules:
                        action: DENY
                        policies:
                          admin: { permissions: [{ url_path: { path: { prefix: "/admin" } } }], principals: [{ any: true }] }
                  - name: envoy.filters.http.lua
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
                      default_source_code:
                        inline_string: |
                          function envoy_on_request(handle)
                            if handle:headers():get(":path") == "/lua" then
                              handle:respond({[":status"] = "302", ["location"] = "/", ["set-cookie"] = "_ga=1"}, "")
                            end
                          end
                  - name: envoy.filters.http.local_ratelimit
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
                      stat_prefix: limit
                      token_bucket: { max_tokens: 1, tokens_per_fill: 1, fill_interval: 3600s }
                      filter_enabled: { default_value: { numerator: 100, denominator: HUNDRED } }
                      filter_enforced: { default_value: { numerator: 100, denominator: HUNDRED } }
"#;
const CORS: &str = r#"                      domains: ["*"]
                      typed_per_filter_config:
                        envoy.filters.http.cors:
                          "@type": type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy
                          allow_origin_string_match: [{ safe_regex: { regex: ".*" } }]
                          allow_methods: "GET, POST"
"#;

fn get(envoy: &Envoy, method: &str, path: &str, fields: &[(&str, &str)]) -> Reply {
    let mut client = RawClient::connect(envoy.address);
    client.send(&request(method, path, fields));
    client.reply(method)
}

fn edited(origin: &Origin, processor: &Proxy, edit: impl Fn(&str) -> String) -> Envoy {
    let folder = tempfile::tempdir().unwrap();
    Envoy::start_edited(folder.path(), origin.address, &[processor.process], edit)
}

fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from}");
    text.replace(from, to)
}

#[test]
fn local_replies_of_preceding_filters_pass_without_trackers() {
    let origin = Origin::responding(OK);
    let processor = processor(&origin);
    let envoy = edited(&origin, &processor, |config| {
        let config = replaced(config, EXT_PROC, &format!("{LOCAL_REPLIES}{EXT_PROC}"));
        replaced(&config, "                      domains: [\"*\"]\n", CORS)
    });
    let preflight = [("Origin", "https://a.example"), ("Access-Control-Request-Method", "POST")];
    let reply = get(&envoy, "OPTIONS", "/", &preflight);
    assert_eq!((reply.status, reply.field("access-control-allow-methods").is_some()), (200, true));
    assert_eq!(get(&envoy, "GET", "/hc", &[]).status, 200);
    assert_eq!(get(&envoy, "GET", "/admin", &[]).status, 403);
    let redirect = get(&envoy, "GET", "/lua", &[]);
    assert_eq!((redirect.status, redirect.set_cookies().len()), (302, 0));
    assert_eq!(get(&envoy, "GET", "/", &[]).status, 200);
    assert_eq!(get(&envoy, "GET", "/", &[]).status, 429);
    let mut client = RawClient::connect(envoy.address);
    client.send(b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(client.reply("GET").status, 400);
    assert!(!processor.log().contains("ext_proc stream"), "{}", processor.log());
}

#[test]
fn a_body_above_the_limit_of_a_message_fails_its_request() {
    let origin = Origin::responding(OK);
    let processor = processor(&origin);
    let envoy = edited(&origin, &processor, |config| {
        let config = replaced(config, "request_body_mode: NONE", "request_body_mode: BUFFERED");
        let config = replaced(
            &config,
            "use_remote_address: true\n",
            "use_remote_address: true\n                request_timeout: 60s\n",
        );
        replaced(
            &config,
            "    - name: visitors\n",
            "    - name: visitors\n      per_connection_buffer_limit_bytes: 20000000\n",
        )
    });
    let post = |bytes: usize| {
        let mut client = RawClient::connect(envoy.address);
        client.send(&request("POST", "/", &[("Content-Length", &bytes.to_string())]));
        client.send(&vec![b'x'; bytes]);
        client.reply("POST")
    };
    let reply = post(1000);
    assert_eq!((reply.status, reply.set_cookies().len()), (200, 0));
    origin.next_request();
    let reply = post(5_000_000);
    assert!(reply.status >= 500 && reply.set_cookies().is_empty(), "{}", reply.status);
    assert!(origin.received_nothing());
    processor.expect_log("unreadable message");
}

#[test]
fn modes_that_would_pass_responses_unfiltered_are_rejected_with_one_log_line() {
    let observed = "message_timeout: 20s\n                      observability_mode: true";
    for (from, to, refused) in [
        ("response_header_mode: SEND", "response_header_mode: SKIP", true),
        ("response_body_mode: NONE", "response_body_mode: FULL_DUPLEX_STREAMED", true),
        // Envoy ignores every response of the processor.
        ("message_timeout: 1s", observed, false),
    ] {
        let origin = Origin::responding(OK);
        let processor = processor(&origin);
        let envoy = edited(&origin, &processor, |config| {
            let config = match to.contains("DUPLEX") {
                true => replaced(config, "_trailer_mode: SKIP", "_trailer_mode: SEND"),
                false => config.to_owned(),
            };
            replaced(&config, from, to)
        });
        let mut passed = 0;
        processor.wait_until(to, || {
            let is_refused = !refused || get(&envoy, "GET", "/", &[]).status != 200;
            passed += usize::from(!is_refused);
            is_refused
        });
        // The processor notices skipped headers only by streams that end early.
        assert!(passed <= if to.contains("SKIP") { 20 } else { 0 }, "{to}: {passed}");
        get(&envoy, "GET", "/", &[]);
        processor.expect_log("unsupported processing mode");
        assert_eq!(processor.log().matches("unsupported processing mode").count(), 1, "{to}");
    }
}

#[test]
fn a_response_with_as_many_fields_as_envoy_accepts_passes_filtered() {
    for fields in [85, 94, 95, 96] {
        let lines: String = (0..fields).map(|number| format!("X-{number}: 1\r\n")).collect();
        let origin = Origin::responding(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{lines}Set-Cookie: _ga=1\r\n\
             Content-Length: 2\r\n\r\nok"
        ));
        let proxy = Proxy::start(&origin, "expire.max_per_response = 200");
        let cookies: Vec<String> = (0..60).map(|number| format!("_ga_{number}=1")).collect();
        let navigation = [("Cookie", &*cookies.join("; ")), ("Sec-Fetch-Mode", "navigate")];
        let reply = proxy.get("/", &navigation);
        assert_eq!(reply.status, 200, "{fields}");
        let deletions = reply.set_cookies();
        assert!(deletions.iter().all(|line| line.contains("Max-Age=0")), "{fields}");
        assert!(fields > 85 || !deletions.is_empty(), "{fields}");
    }
}

#[test]
fn a_websocket_handshake_passes_filtered() {
    let origin = Origin::responding(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Set-Cookie: _ga=1\r\n\r\n",
    );
    let proxy = Proxy::start(&origin, "");
    let mut client = proxy.connect();
    client.send(&request("GET", "/", &[("Upgrade", "websocket"), ("Connection", "Upgrade")]));
    let head = client.head();
    assert_eq!((head.status, head.set_cookies().len()), (101, 0));
}

fn processor(origin: &Origin) -> Proxy {
    let site = format!("log.access = false\n[[site]]\nupstream = '{}'\n", origin.url());
    Proxy::start_without_envoy("ext-proc", "127.0.0.1:0", &site)
}
