//! Requests forwarded by consentry mean the same to nginx, HAProxy, Node's http and Python's h11. Each server
//! parses one identical request, and then the following request.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use crate::grpc::script;
use crate::nginx::{Nginx, PeerProcess, folder, free_port, program, wait_for_listener};
use crate::support::Proxy;

/// An origin that responds with the parsed request: method, target, host, and the body length if it is known.
struct ParsingOrigin {
    name: &'static str,
    address: SocketAddr,
    reports_length: bool,
    _nginx: Option<Nginx>,
    _peer: Option<PeerProcess>,
    _folder: tempfile::TempDir,
}

impl ParsingOrigin {
    fn nginx() -> Self {
        let folder = folder();
        // Proxied to itself, so that the body is read before the response is generated.
        let nginx = Nginx::start(
            folder.path(),
            "server { listen 127.0.0.1:{port}; location / { proxy_pass http://127.0.0.1:{port}/echo$request_uri; proxy_set_header X-Method $request_method; proxy_set_header X-Target $request_uri; proxy_set_header X-Host $http_host; proxy_method GET; proxy_pass_request_body off; proxy_set_header Content-Length \"\"; }\n\
             location /echo { return 200 \"$http_x_method $http_x_target $http_x_host\"; } }",
        );
        let address = nginx.address;
        Self {
            name: "nginx",
            address,
            reports_length: false,
            _nginx: Some(nginx),
            _peer: None,
            _folder: folder,
        }
    }

    fn haproxy() -> Self {
        let folder = folder();
        let port = free_port();
        let config = folder.path().join("haproxy.cfg");
        std::fs::write(
            &config,
            format!(
                "defaults\n mode http\n timeout client 20s\n timeout connect 5s\n timeout server 20s\n\
                 frontend all\n bind 127.0.0.1:{port}\n option http-buffer-request\n\
                 http-request return status 200 content-type text/plain lf-string \"%[method] %[pathq] %[req.hdr(host)] %[req.body_len]\"\n"
            ),
        )
        .unwrap();
        let peer = PeerProcess::spawn(
            Command::new(program("haproxy")).args(["-db", "-f"]).arg(&config).stderr(Stdio::null()),
        );
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        wait_for_listener(address);
        Self {
            name: "HAProxy",
            address,
            reports_length: true,
            _nginx: None,
            _peer: Some(peer),
            _folder: folder,
        }
    }

    /// Starts an origin that prints its port on its first line.
    fn start_printing_port(name: &'static str, mut command: Command) -> Self {
        let mut peer = PeerProcess::spawn(command.stdout(Stdio::piped()));
        let mut port = String::new();
        BufReader::new(peer.stdout()).read_line(&mut port).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port.trim().parse().unwrap()));
        Self {
            name,
            address,
            reports_length: true,
            _nginx: None,
            _peer: Some(peer),
            _folder: folder(),
        }
    }
}

fn origins() -> Vec<ParsingOrigin> {
    let mut node = Command::new(program("node"));
    node.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/tools/origin.mjs"));
    vec![
        ParsingOrigin::nginx(),
        ParsingOrigin::haproxy(),
        ParsingOrigin::start_printing_port("Node", node),
        ParsingOrigin::start_printing_port("h11", script("h11_peer.py")),
    ]
}

/// Requests with the expected result at the origin. `None` if consentry may reject the request, but must not allow
/// two interpretations.
const CASES: &[(&str, Option<&str>)] = &[
    ("GET /plain HTTP/1.1\r\nHost: a\r\n\r\n", Some("GET /plain a 0")),
    (
        "POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        Some("POST /length a 5"),
    ),
    (
        "POST /zeros HTTP/1.1\r\nHost: a\r\nContent-Length: 0005\r\n\r\nhello",
        Some("POST /zeros a 5"),
    ),
    (
        "POST /twice HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        Some("POST /twice a 5"),
    ),
    (
        "POST /chunks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
        Some("POST /chunks a 5"),
    ),
    (
        "POST /upper HTTP/1.1\r\nHost: a\r\ntRANSFER-eNCODING: CHUNKED\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        Some("POST /upper a 5"),
    ),
    (
        "POST /extension HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=\"b;c\"\r\nhello\r\n0;z\r\n\r\n",
        Some("POST /extension a 5"),
    ),
    (
        "POST /trailer HTTP/1.1\r\nHost: a\r\nTrailer: Content-Length, Host\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nContent-Length: 1\r\nHost: b\r\n\r\n",
        Some("POST /trailer a 5"),
    ),
    ("GET /line-feeds HTTP/1.1\nHost: a\n\n", Some("GET /line-feeds a 0")),
    ("GET http://b/absolute HTTP/1.1\r\nHost: a\r\n\r\n", Some("GET /absolute b 0")),
    (
        "GET /get-with-body HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        Some("GET /get-with-body a 5"),
    ),
    (
        "DELETE /delete HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        Some("DELETE /delete a 5"),
    ),
    (
        "GET /named HTTP/1.1\r\nHost: a\r\nConnection: Host, Content-Length, close-not\r\n\r\n",
        Some("GET /named a 0"),
    ),
    (
        "POST /named HTTP/1.1\r\nHost: a\r\nConnection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        Some("POST /named a 5"),
    ),
    (
        "POST /expect HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
        Some("POST /expect a 5"),
    ),
    (
        "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
        Some("GET /upgrade a 0"),
    ),
    (
        "GET /a%2e%2e/%0d%0aX:%201?q=%20 HTTP/1.1\r\nHost: a\r\n\r\n",
        Some("GET /a%2e%2e/%0d%0aX:%201?q=%20 a 0"),
    ),
    (
        "GET /te HTTP/1.1\r\nHost: a\r\nTE: trailers, chunked\r\nConnection: TE\r\n\r\n",
        Some("GET /te a 0"),
    ),
    (
        "POST /both HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX",
        None,
    ),
    ("POST /fold HTTP/1.1\r\nHost: a\r\nX: y\r\n Content-Length: 5\r\n\r\nhello", None),
    ("POST /signed HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello", None),
    ("POST /list HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello", None),
    (
        "POST /xchunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        None,
    ),
    (
        "POST /tab HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\tchunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        Some("POST /tab a 5"),
    ),
    (
        "POST /space HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        None,
    ),
    (
        "POST /hex HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
        None,
    ),
    ("GET /quote\"s HTTP/1.1\r\nHost: a\r\n\r\n", None),
    ("GET /old HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", Some("GET /old a 0")),
];

#[test]
fn four_origins_parse_the_same_single_request() {
    for reader in origins() {
        // One worker: all requests use the same upstream connection while it is open.
        let proxy = Proxy::start_with(&format!(
            "workers = 1\n[[site]]\nupstream = 'http://{}'",
            reader.address
        ));
        for (bytes, expected) in CASES {
            let shown = format!("{}: {}", reader.name, bytes.escape_debug());
            let method = bytes.split(' ').next().unwrap();
            let mut client = proxy.connect();
            client.send(bytes.as_bytes());
            let reply = client.reply(method);
            let read = reply.text();
            match expected {
                Some(expected) => {
                    assert_eq!(reply.status, 200, "{shown}: {read}");
                    let without_length = expected.rsplit_once(' ').unwrap().0;
                    let expected = if reader.reports_length { expected } else { &without_length };
                    assert_eq!(&read, expected, "{shown}");
                }
                None => {
                    let path = bytes.split(' ').nth(1).unwrap();
                    let whole = read.starts_with(&format!("{method} {path} a"));
                    assert!(
                        reply.status == 400 || (reply.status == 200 && whole),
                        "{shown}: {} {read}",
                        reply.status
                    );
                }
            }
            // The next request on the upstream connection is the next client's.
            let next = proxy.get("/next", &[("Host", "n")]);
            let expected = if reader.reports_length { "GET /next n 0" } else { "GET /next n" };
            assert_eq!((next.status, next.text().as_str()), (200, expected), "after {shown}");
        }
    }
}
