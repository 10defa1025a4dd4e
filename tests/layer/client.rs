//! An HTTP/1.1, HTTP/2 or raw client.

use std::net::SocketAddr;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub const VERSIONS: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

/// Time limit for an expected event. Only a failing test waits that long.
pub const TIMEOUT: Duration = Duration::from_secs(20);

/// A response, read to its end.
#[derive(Default)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: HeaderMap,
    /// Whether the response ended with an error.
    pub broken: bool,
}

impl Reply {
    /// The `Set-Cookie` lines, without those of the list of presumed cookies.
    pub fn cookies(&self) -> Vec<&str> {
        let lines = self.headers.get_all("set-cookie").iter();
        let lines = lines.map(|line| line.to_str().unwrap());
        lines.filter(|line| !line.starts_with("consentry_presumed=")).collect()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// A fresh native consent cookie that grants these categories, joined by `+`.
pub fn consent_cookie(categories: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    format!("consentry=1~{now}~2018-05-25~{categories}~")
}

/// A GET request for this path with these fields.
pub fn get(path: &str, fields: &[(&'static str, &str)]) -> Request<Empty<Bytes>> {
    let mut request = Request::builder().uri(path).body(Empty::new()).unwrap();
    for (name, value) in fields {
        request.headers_mut().append(*name, HeaderValue::from_str(value).unwrap());
    }
    request
}

/// Sends a request on a new connection.
pub async fn send(address: SocketAddr, version: Version, request: Request<Empty<Bytes>>) -> Reply {
    tokio::time::timeout(TIMEOUT, exchange(address, version, request)).await.expect("in time")
}

async fn exchange(
    address: SocketAddr,
    version: Version,
    mut request: Request<Empty<Bytes>>,
) -> Reply {
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    if version == Version::HTTP_2 {
        let path = request.uri().path_and_query().unwrap().as_str();
        let uri = Uri::builder().scheme("http").authority("shop.example").path_and_query(path);
        *request.uri_mut() = uri.build().unwrap();
        let (mut sender, connection) =
            http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        return read(sender.send_request(request).await).await;
    }
    request.headers_mut().insert("host", HeaderValue::from_static("shop.example"));
    let (mut sender, connection) = http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    read(sender.send_request(request).await).await
}

async fn read(response: hyper::Result<Response<Incoming>>) -> Reply {
    let broken = response.is_err();
    // A server may fail before it has sent the head.
    let Ok(response) = response else { return Reply { broken, ..Reply::default() } };
    let (parts, mut body) = response.into_parts();
    let mut reply = Reply { status: parts.status, headers: parts.headers, ..Reply::default() };
    let mut data = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame.map(|frame| frame.into_data()) {
            Ok(Ok(bytes)) => data.extend_from_slice(&bytes),
            Ok(Err(frame)) => reply.trailers = frame.into_trailers().unwrap(),
            Err(_) => {
                reply.broken = true;
                break;
            }
        }
    }
    reply.body = data.into();
    reply
}

/// Sends these bytes, and reads until the server closes the connection.
pub async fn raw(address: SocketAddr, bytes: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = tokio::time::timeout(TIMEOUT, stream.read_to_string(&mut answer)).await;
    read.expect("in time").unwrap();
    answer
}
