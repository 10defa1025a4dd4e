//! Message forms: several `Cookie` field lines, HEAD, targets, upgrades, trailers, failing bodies.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::response::AppendHeaders;
use axum::routing::{any, get as route};
use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::client::{VERSIONS, consent_cookie, get, raw, send};
use crate::server::{layer, serve, serve_router};

const TRACKER: (&str, &str) = ("set-cookie", "c_analytics=1");

/// Answers with the `Cookie` field lines of the request, joined by `|`.
async fn echo(headers: HeaderMap) -> String {
    let fields = headers.get_all("cookie").iter();
    let fields: Vec<&str> = fields.map(|field| field.to_str().unwrap()).collect();
    fields.join("|")
}

#[tokio::test]
async fn cookies_in_several_field_lines_are_filtered_together_and_joined() {
    let (some, none) = (consent_cookie("analytics"), consent_cookie(""));
    let joined = format!("{some}; c_analytics=1; c_necessary=2");
    let cases: [(&[&str], &str); 6] = [
        (&["c_necessary=1"], "c_necessary=1"),
        (&["c_necessary=1", "c_analytics=1", "c_necessary=2"], "c_necessary=1; c_necessary=2"),
        (&["c_analytics=1", "c_social=1"], ""),
        (&[&some, "c_analytics=1", "c_social=1; c_necessary=2"], &joined),
        // The stricter of two decisions counts, whichever field line contains it.
        (&[&some, &none, "c_analytics=1"], &format!("{some}; {none}")),
        (&["c_analytics=1", &none, &some], &format!("{none}; {some}")),
    ];
    for toml in ["", "mode = 'observe'"] {
        let address = serve_router(Router::new().route("/", any(echo)).layer(layer(toml))).await;
        for version in VERSIONS {
            for (sent, kept) in &cases {
                let fields: Vec<_> = sent.iter().map(|field| ("cookie", *field)).collect();
                let reply = send(address, version, get("/", &fields)).await;
                let expected = if toml.is_empty() { (*kept).to_owned() } else { sent.join("; ") };
                assert_eq!(reply.text(), expected, "{sent:?}");
            }
        }
    }
}

#[tokio::test]
async fn too_many_cookies_are_rejected_for_every_split() {
    let toml = "[limits]\ncookies = 60";
    let address = serve_router(Router::new().route("/", any(echo)).layer(layer(toml))).await;
    for version in VERSIONS {
        for split in [1, 7, 61] {
            let all = vec!["a=1"; 61];
            let fields: Vec<String> = all.chunks(split).map(|pairs| pairs.join("; ")).collect();
            let fields: Vec<_> = fields.iter().map(|field| ("cookie", field.as_str())).collect();
            let reply = send(address, version, get("/", &fields)).await;
            assert_eq!(reply.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "{split}");
        }
    }
}

#[tokio::test]
async fn every_request_form_gets_a_filtered_response() {
    let sets = |headers: HeaderMap| async move {
        (
            AppendHeaders([TRACKER, ("set-cookie", "c_necessary=1"), ("x-cookie", "")]),
            echo(headers).await,
        )
    };
    let routes = Router::new()
        .fallback(any(sets))
        .layer(layer("[[beacon]]\npath = '/b'\ncategory = 'social'"));
    let address = serve_router(routes).await;
    let end = "Cookie: c_social=7\r\nConnection: close\r\n\r\n";
    for start in [
        "GET / HTTP/1.1\r\nHost: shop.example\r\n",
        "HEAD / HTTP/1.1\r\nHost: shop.example\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: shop.example\r\n",
        "DELETE /x HTTP/1.1\r\nHost: shop.example\r\n",
        "GET http://shop.example/x HTTP/1.1\r\nHost: other.example\r\n",
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n",
        "GET / HTTP/1.0\r\n",
    ] {
        let answer = raw(address, &format!("{start}{end}")).await.to_ascii_lowercase();
        assert!(answer.contains("set-cookie: c_necessary=1"), "{start}: {answer}");
        assert!(
            !answer.contains("c_analytics") && !answer.contains("c_social"),
            "{start}: {answer}"
        );
    }
    for target in ["/b", "http://shop.example/b", "/b?x=1", "/%62"] {
        let answer =
            raw(address, &format!("GET {target} HTTP/1.1\r\nHost: shop.example\r\n{end}")).await;
        assert!(answer.starts_with("HTTP/1.1 204 "), "{target}: {answer}");
    }
}

#[tokio::test]
async fn the_response_to_an_upgrade_is_filtered_and_the_connection_continues() {
    let page = service_fn(|mut request: Request<Incoming>| async move {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut stream = TokioIo::new(upgrade.await.unwrap());
            let mut bytes = [0; 4];
            stream.read_exact(&mut bytes).await.unwrap();
            stream.write_all(&bytes).await.unwrap();
        });
        let head = Response::builder().status(101).header("connection", "upgrade");
        let head = head.header("upgrade", "echo").header("set-cookie", "c_analytics=1");
        let response = head.header("set-cookie", "c_necessary=1").body(Body::empty());
        Ok::<_, Infallible>(response.unwrap())
    });
    let address = serve(layer("").layer(page)).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request =
        "GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("c_necessary=1"), "{head}");
    assert!(!head.contains("c_analytics"), "{head}");
    stream.write_all(b"ping").await.unwrap();
    let mut echoed = [0; 4];
    stream.read_exact(&mut echoed).await.unwrap();
    assert_eq!(&echoed, b"ping");
}

#[tokio::test]
async fn only_cookies_without_consent_are_stripped_from_trailers() {
    let page = service_fn(|_: Request<Incoming>| async {
        let mut trailers = HeaderMap::new();
        for (name, value) in [TRACKER, ("set-cookie", "c_necessary=1"), ("grpc-status", "0")] {
            trailers.append(name, HeaderValue::from_static(value));
        }
        let frames = [Frame::data(Bytes::from_static(b"data")), Frame::trailers(trailers)];
        let body = StreamBody::new(stream::iter(frames.map(Ok::<_, Infallible>)));
        Ok::<_, Infallible>(Response::new(body))
    });
    let address = serve(layer("").layer(page)).await;
    let reply = send(address, http::Version::HTTP_2, get("/", &[])).await;
    assert_eq!(reply.text(), "data");
    assert_eq!(reply.trailers["grpc-status"], "0");
    let cookies: Vec<_> = reply.trailers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["c_necessary=1"]);
}

#[tokio::test]
async fn a_failing_body_fails_for_the_client_too() {
    let page = service_fn(|request: Request<Incoming>| async move {
        let kind = if request.uri().path() == "/pixel.gif" { "image/gif" } else { "text/html" };
        let response =
            Response::builder().header("content-type", kind).header(TRACKER.0, TRACKER.1);
        let start = stream::iter([Ok(Frame::data(Bytes::from_static(b"GIF89a")))]);
        // Lets the server send the start first.
        let failure = stream::once(tokio::task::yield_now().map(|()| Err("broken")));
        let body = StreamBody::new(Box::pin(start.chain(failure)));
        Ok::<_, Infallible>(response.body(body).unwrap())
    });
    for toml in ["", "[beacons]\ndetect = 'block'"] {
        let address = serve(layer(toml).layer(page)).await;
        for version in VERSIONS {
            for path in ["/page", "/pixel.gif"] {
                let reply = send(address, version, get(path, &[("accept", "image/*")])).await;
                assert_eq!(reply.cookies(), [""; 0]);
                assert!(reply.broken, "{version:?} {path}");
                assert!(b"GIF89a".starts_with(&reply.body), "{:?}", reply.body);
            }
        }
    }
}

#[tokio::test]
async fn a_panicking_handler_ends_only_its_own_request() {
    let page = || async { if true { panic!("a test of panics") } else { "never" } };
    let router = Router::new().route("/panic", route(page)).route("/", route("page"));
    let address = serve_router(router.layer(layer(""))).await;
    let answer = raw(address, "GET /panic HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(answer, "", "the connection closes without a response");
    for version in VERSIONS {
        assert_eq!(send(address, version, get("/", &[])).await.text(), "page");
    }
}

/// A service that must be ready before each call. A clone starts as not ready.
#[derive(Default)]
struct Ready(bool);

impl Clone for Ready {
    fn clone(&self) -> Self {
        Self(false)
    }
}

impl Service<Request<()>> for Ready {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0 = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        assert!(std::mem::take(&mut self.0), "called before it was ready");
        Box::pin(std::future::ready(Ok(Response::new(Body::from("called")))))
    }
}

#[test]
fn the_ready_service_is_the_one_that_is_called() {
    let toml = "[[beacon]]\npath = '/b'\ncategory = 'social'";
    let mut service = layer(toml).layer(Ready::default());
    for _ in 0..3 {
        for path in ["/", "/b", "/b", "/"] {
            let mut clone = service.clone();
            let request = || Request::builder().uri(path).body(()).unwrap();
            for service in [&mut service, &mut clone] {
                let ready = service.ready().now_or_never().unwrap().unwrap();
                let answer = ready.call(request()).now_or_never().unwrap().unwrap();
                assert_eq!(answer.status() == StatusCode::NO_CONTENT, path == "/b");
            }
        }
    }
}

/// A blocked beacon gets a local reply, so its reserved capacity is released for the next request.
#[tokio::test]
async fn beacons_release_the_permit_of_a_limited_service() {
    let toml = "[[beacon]]\npath = '/b'\ncategory = 'social'";
    let page = service_fn(|_: Request<Incoming>| async {
        Ok::<_, Infallible>(Response::new(Body::from("called")))
    });
    let limited = tower::limit::ConcurrencyLimit::new(page, 1);
    let address = serve(layer(toml).layer(limited)).await;
    for version in VERSIONS {
        for path in ["/b", "/b", "/", "/b", "/"] {
            let reply = send(address, version, get(path, &[])).await;
            assert_eq!(reply.text() == "called", path == "/", "{path}");
        }
    }
}
