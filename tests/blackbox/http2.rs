//! HTTP/2 from clients, cleartext with prior knowledge.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::support::{Origin, Proxy, consent_cookie};

type Body = BoxBody<Bytes, std::convert::Infallible>;

fn empty() -> Body {
    Full::default().boxed()
}

async fn connect(proxy: &Proxy) -> SendRequest<Body> {
    let stream = tokio::net::TcpStream::connect(proxy.address).await.unwrap();
    let (sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn get(path: &str) -> http::request::Builder {
    Request::builder().uri(format!("http://shop.example{path}"))
}

fn cookies(response: &Response<Incoming>) -> Vec<&str> {
    response.headers().get_all("set-cookie").iter().map(|line| line.to_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn split_cookie_fields_are_filtered_over_http_2() {
    let origin = Origin::setting_cookies(&["sessionid=1", "_ga=1", "_fbp=1"]);
    let proxy = Proxy::start(&origin, "");
    let mut sender = connect(&proxy).await;
    let consent = consent_cookie("analytics");
    let request = get("/a?b")
        .header("cookie", "PHPSESSID=1")
        .header("cookie", "_fbp=2")
        .header("cookie", &consent)
        .header("cookie", "_ga=3")
        .header("te", "trailers");
    let response = sender.send_request(request.body(empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(cookies(&response), ["sessionid=1", "_ga=1"]);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "ok");
    let received = origin.next_request();
    assert_eq!(received.line, "GET /a?b HTTP/1.1");
    assert_eq!(received.field("host").as_deref(), Some("shop.example"));
    assert_eq!(received.field("cookie"), Some(format!("PHPSESSID=1; {consent}; _ga=3")));
    assert_eq!(received.field("via").as_deref(), Some("2.0 consentry"));
    assert_eq!(received.field("te").as_deref(), Some("trailers"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_maximum_number_of_browser_cookies_passes_in_separate_fields() {
    let origin = Origin::responding("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let proxy = Proxy::start(&origin, "");
    let mut sender = connect(&proxy).await;
    let crumbs: Vec<String> = (0..180).map(|number| format!("PHPSESSID={number}")).collect();
    for _ in 0..2 {
        let request =
            crumbs.iter().fold(get("/"), |request, crumb| request.header("cookie", crumb));
        let response = sender.send_request(request.body(empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(origin.next_request().field("cookie"), Some(crumbs.join("; ")));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_run_concurrently_and_bodies_pass_complete() {
    let origin = Origin::scripted(|received, stream| {
        let length = received.body.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: keep-alive\r\nKeep-Alive: x\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).is_ok() && stream.write_all(&received.body).is_ok()
    });
    let proxy = Arc::new(Proxy::start(&origin, ""));
    let sender = connect(&proxy).await;
    let tasks = (0..20_u8).map(|number| {
        let mut sender = sender.clone();
        tokio::spawn(async move {
            let body = vec![number; 100_000 + usize::from(number)];
            let request = get("/").method("POST").body(Full::from(body.clone()).boxed()).unwrap();
            let response = sender.send_request(request).await.unwrap();
            assert!(response.headers().get("keep-alive").is_none(), "hop-by-hop");
            assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), body);
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trailers_pass_in_both_directions_with_cookies_filtered() {
    let origin = Origin::responding(
        "HTTP/1.1 200 OK\r\nTrailer: grpc-status\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\ngrpc-status: 0\r\nSet-Cookie: _ga=1\r\n\r\n",
    );
    let proxy = Proxy::start(&origin, "");
    let mut sender = connect(&proxy).await;
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "1".parse().unwrap());
    let frames = [Ok(Frame::data(Bytes::from_static(b"abc"))), Ok(Frame::trailers(trailers))];
    let body = StreamBody::new(futures_util::stream::iter(frames)).boxed();
    let request = get("/").method("POST").header("te", "trailers").body(body).unwrap();
    let response = sender.send_request(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap();
    let trailers = body.trailers().expect("trailers");
    assert_eq!((trailers.len(), trailers["grpc-status"].to_str().unwrap()), (1, "0"));
    assert_eq!(origin.next_request().body, b"abc");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_fields_get_431_and_connect_gets_405() {
    let origin = Origin::responding("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let proxy = Proxy::start(&origin, "");
    let mut sender = connect(&proxy).await;
    let mut many = get("/");
    for number in 0..200 {
        many = many.header(format!("x-{number}"), "1");
    }
    let response = sender.send_request(many.body(empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert!(response.headers().get("connection").is_none(), "HTTP/2 has no such field");
    let connect = Request::builder().method("CONNECT").uri("a.example:443").body(empty()).unwrap();
    let response = sender.send_request(connect).await.unwrap();
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert!(origin.received_nothing());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_reset_cancels_only_its_request() {
    let origin = Origin::scripted(|received, stream| {
        if received.line.starts_with("GET /slow") {
            let _ = std::io::Read::read(stream, &mut [0; 1]);
            return false;
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").is_ok()
    });
    let proxy = Proxy::start(&origin, "");
    let mut sender = connect(&proxy).await;
    let slow = sender.send_request(get("/slow").body(empty()).unwrap());
    let slow = tokio::spawn(slow);
    tokio::task::block_in_place(|| origin.next_request());
    slow.abort();
    let _ = slow.await;
    tokio::task::block_in_place(|| origin.next_closed_connection());
    let response = sender.send_request(get("/fast").body(empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_lets_streams_finish() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let origin = Origin::scripted(move |_, stream| {
        let _ = wait.lock().unwrap().recv_timeout(crate::support::TIMEOUT);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_ok()
    });
    let mut proxy = Proxy::start(&origin, "");
    let mut sender = connect(&proxy).await;
    let response = tokio::spawn(sender.send_request(get("/").body(empty()).unwrap()));
    tokio::task::block_in_place(|| origin.next_request());
    proxy.signal("TERM");
    go.send(()).unwrap();
    let response = response.await.unwrap().unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "ok");
    assert!(proxy.exit_status().success());
}
