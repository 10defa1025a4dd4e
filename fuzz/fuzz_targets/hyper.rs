//! The hyper parser: its HTTP/1 server and client on an in-memory connection.

use std::cell::RefCell;
use std::convert::Infallible;
use std::error::Error;
use std::io;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Version};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{client, server};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::runtime::{Builder, Runtime};

use crate::message::{Field, Kind, Message, Outcome};

/// Size of the connection's buffer in bytes.
const BUFFER: usize = 1 << 20;

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().build().expect("a runtime");
}

/// Parses the message at the start of the bytes. Also returns whether hyper noticed bytes after it.
pub fn parse(kind: Kind, bytes: &[u8]) -> (Outcome, bool) {
    RUNTIME.with(|runtime| match kind {
        Kind::Request => runtime.block_on(request(bytes)),
        Kind::ResponseToGet => (runtime.block_on(response(Method::GET, bytes)), false),
        Kind::ResponseToHead => (runtime.block_on(response(Method::HEAD, bytes)), false),
    })
}

async fn request(bytes: &[u8]) -> (Outcome, bool) {
    let (mut near, far) = duplex(BUFFER);
    write_and_end(&mut near, bytes).await;
    let requests = RefCell::new(Vec::new());
    let service = service_fn(|request: Request<Incoming>| {
        let requests = &requests;
        async move {
            let (head, body) = request.into_parts();
            let start = head.method.as_str().as_bytes().to_vec();
            let target = head.uri.to_string().into_bytes();
            let message = Message { start, target, ..with_fields(head.version, &head.headers) };
            let message = with_body(message, body).await;
            requests.borrow_mut().push(message);
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let mut builder = server::conn::http1::Builder::new();
    let ended = builder.half_close(true).serve_connection(TokioIo::new(far), service).await;
    let mut requests = requests.into_inner().into_iter();
    match (requests.next(), ended) {
        (Some(first), ended) => (first, requests.next().is_some() || ended.is_err()),
        (None, Err(error)) => (failed(&error), false),
        (None, Ok(())) => (Outcome::Incomplete, false),
    }
}

async fn response(method: Method, bytes: &[u8]) -> Outcome {
    let (mut near, far) = duplex(BUFFER);
    let handshake = client::conn::http1::handshake(TokioIo::new(far)).await;
    let (mut sender, connection) = handshake.expect("nothing is sent yet");
    let exchange = async move {
        let request = Request::builder().method(method).uri("/").header("host", "a");
        let request = request.body(Empty::<Bytes>::new()).expect("a request");
        match sender.send_request(request).await {
            Ok(response) => {
                let (head, body) = response.into_parts();
                let start = head.status.as_str().as_bytes().to_vec();
                let message = Message { start, ..with_fields(head.version, &head.headers) };
                with_body(message, body).await
            }
            Err(error) => failed(&error),
        }
    };
    let origin = async move {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            near.read_buf(&mut request).await.expect("a request");
        }
        write_and_end(&mut near, bytes).await;
        near
    };
    tokio::join!(exchange, origin, connection).0
}

async fn write_and_end(stream: &mut DuplexStream, bytes: &[u8]) {
    assert!(bytes.len() <= BUFFER);
    stream.write_all(bytes).await.expect("the buffer has room");
    stream.shutdown().await.expect("it cannot fail");
}

fn with_fields(version: Version, headers: &HeaderMap) -> Message {
    Message { is_http10: version == Version::HTTP_10, fields: owned(headers), ..Message::default() }
}

fn owned(headers: &HeaderMap) -> Vec<Field> {
    let field = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.as_str().as_bytes().to_vec(), value.as_bytes().to_vec())
    };
    headers.iter().map(field).collect()
}

async fn with_body(mut message: Message, body: Incoming) -> Outcome {
    match body.collect().await {
        Ok(body) => {
            message.trailers = body.trailers().map(owned).unwrap_or_default();
            message.body = body.to_bytes().to_vec();
            Outcome::Complete(Box::new(message))
        }
        Err(error) => failed(&error),
    }
}

fn failed(error: &hyper::Error) -> Outcome {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    let is_eof = source.is_some_and(|error| error.kind() == io::ErrorKind::UnexpectedEof);
    if is_eof || error.is_incomplete_message() { Outcome::Incomplete } else { Outcome::Rejected }
}
