//! The end of processor streams, with a gRPC client as the peer.

use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue};
use envoy_types::pb::envoy::service::ext_proc::v3::external_processor_client::ExternalProcessorClient;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_request::Request;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_response::Response;
use envoy_types::pb::envoy::service::ext_proc::v3::{
    HttpBody, HttpHeaders, HttpTrailers, ProcessingRequest, ProcessingResponse,
    ProtocolConfiguration,
};
use tonic::Code;

use crate::support::Proxy;

const SITE: &str = "log.access = false\n[[site]]\nupstream = 'http://127.0.0.1:1'\n";

fn fields(fields: &[(&str, &str)]) -> Option<HeaderMap> {
    let field = |(key, value): &(&str, &str)| HeaderValue {
        key: (*key).to_owned(),
        raw_value: value.as_bytes().to_vec(),
        ..HeaderValue::default()
    };
    Some(HeaderMap { headers: fields.iter().map(field).collect() })
}

fn message(request: Request) -> ProcessingRequest {
    ProcessingRequest { request: Some(request), ..ProcessingRequest::default() }
}

fn request_head() -> ProcessingRequest {
    let head =
        [(":method", "GET"), (":path", "/"), (":authority", "a.example"), ("cookie", "_ga=1")];
    message(Request::RequestHeaders(HttpHeaders {
        headers: fields(&head),
        ..HttpHeaders::default()
    }))
}

fn response_head(head: &[(&str, &str)]) -> ProcessingRequest {
    message(Request::ResponseHeaders(HttpHeaders {
        headers: fields(head),
        ..HttpHeaders::default()
    }))
}

fn body(request: bool, bytes: usize) -> ProcessingRequest {
    let body = HttpBody { body: vec![b'x'; bytes], ..HttpBody::default() };
    message(if request { Request::RequestBody(body) } else { Request::ResponseBody(body) })
}

fn trailers(request: bool, list: &[(&str, &str)]) -> ProcessingRequest {
    let trailers = HttpTrailers { trailers: fields(list) };
    message(match request {
        true => Request::RequestTrailers(trailers),
        false => Request::ResponseTrailers(trailers),
    })
}

/// Sends these messages at once and ends the stream. Returns the responses and the status.
fn exchange_messages(
    processor: &Proxy,
    messages: Vec<ProcessingRequest>,
) -> (Vec<ProcessingResponse>, Code, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let url = format!("http://{}", processor.process);
        let mut client = ExternalProcessorClient::connect(url).await.unwrap();
        let messages = futures_util::stream::iter(messages);
        let mut answers = match client.process(messages).await {
            Ok(answers) => answers.into_inner(),
            Err(status) => return (Vec::new(), status.code(), status.message().to_owned()),
        };
        let mut received = Vec::new();
        loop {
            match answers.message().await {
                Ok(Some(answer)) => received.push(answer),
                Ok(None) => return (received, Code::Ok, String::new()),
                Err(status) => return (received, status.code(), status.message().to_owned()),
            }
        }
    })
}

#[test]
fn a_stream_without_a_filtered_response_ends_with_an_error_and_one_log_line() {
    let ok = [(":status", "200")];
    let with_mode = |request_body_mode, observability_mode| ProcessingRequest {
        observability_mode,
        protocol_config: Some(ProtocolConfiguration {
            request_body_mode,
            ..ProtocolConfiguration::default()
        }),
        ..request_head()
    };
    let cases: Vec<(&str, Vec<ProcessingRequest>, &str)> = vec![
        ("no message", vec![], "ended before"),
        ("half-closed", vec![request_head()], "ended before"),
        ("half-closed behind a body", vec![request_head(), body(true, 9)], "ended before"),
        ("empty message", vec![ProcessingRequest::default()], "without a known content"),
        (
            "empty message behind the request",
            vec![request_head(), ProcessingRequest::default()],
            "without a known content",
        ),
        ("too large", vec![request_head(), body(true, 5_000_000)], "too large"),
        ("two requests", vec![request_head(), request_head()], "unexpected message"),
        ("two responses", vec![response_head(&ok), response_head(&ok)], "unexpected message"),
        ("body first", vec![body(true, 9)], "unexpected message"),
        ("response body first", vec![request_head(), body(false, 9)], "unexpected message"),
        (
            "response trailers first",
            vec![request_head(), trailers(false, &[])],
            "unexpected message",
        ),
        ("no status", vec![request_head(), response_head(&[])], "invalid head"),
        ("bad field", vec![response_head(&[(":status", "200"), ("a b", "1")])], "invalid head"),
        ("observability", vec![with_mode(0, true)], "unsupported processing mode"),
        ("full duplex", vec![with_mode(4, false)], "unsupported processing mode"),
        ("gRPC bodies", vec![with_mode(5, false)], "unsupported processing mode"),
        ("unknown mode", vec![with_mode(77, false)], "unsupported processing mode"),
    ];
    for (name, messages, text) in cases {
        let processor = Proxy::start_without_envoy("ext-proc", "127.0.0.1:0", SITE);
        for _ in 0..3 {
            let (_, code, message) = exchange_messages(&processor, messages.clone());
            assert_ne!(code, Code::Ok, "{name}");
            assert!(message.contains(text), "{name}: {code:?} {message}");
        }
        processor.expect_log("ext_proc stream ");
        assert_eq!(processor.log().matches("ext_proc stream ").count(), 1, "{name}");
        let kind = if text == "ended before" { "connection" } else { "ext_proc" };
        processor.expect_metric(&format!("consentry_errors_total{{kind=\"{kind}\"}}"), 3.0);
    }
}

#[test]
fn delivered_trailers_are_filtered_like_in_the_proxy() {
    let processor = Proxy::start_without_envoy("ext-proc", "127.0.0.1:0", SITE);
    let messages = vec![
        request_head(),
        body(true, 3),
        trailers(true, &[("cookie", "_ga=1"), ("x-sum", "1"), ("x-forwarded-for", "::1")]),
        response_head(&[(":status", "200")]),
        body(false, 3),
        trailers(false, &[("set-cookie", "_ga=1"), ("grpc-status", "0")]),
    ];
    let (answers, code, _) = exchange_messages(&processor, messages);
    assert_eq!((answers.len(), code), (6, Code::Ok));
    let removed = |answer: &ProcessingResponse| {
        let changes = match answer.response.clone() {
            Some(Response::RequestTrailers(trailers) | Response::ResponseTrailers(trailers)) => {
                trailers.header_mutation.unwrap()
            }
            other => panic!("{other:?}"),
        };
        assert!(changes.set_headers.is_empty());
        changes.remove_headers
    };
    assert_eq!(removed(&answers[2]), ["cookie", "x-forwarded-for"]);
    assert_eq!(removed(&answers[5]), ["set-cookie"]);
}

#[test]
fn a_response_without_a_request_keeps_only_necessary_cookies() {
    let sites = "[[cookie]]\nname = 'login'\ncategory = 'necessary'\n\
        [[site]]\nhosts = ['watched.example']\nmode = 'observe'\nupstream = 'http://127.0.0.1:1'\n\
        [[site]]\nhosts = ['shop.example']\nupstream = 'http://127.0.0.1:1'\n\
        consent.default = 'allow'\n";
    let processor = Proxy::start_without_envoy("ext-proc", "127.0.0.1:0", sites);
    let head = [(":status", "403"), ("set-cookie", "_ga=1"), ("set-cookie", "login=1")];
    let (answers, code, _) = exchange_messages(&processor, vec![response_head(&head)]);
    assert_eq!(code, Code::Ok);
    let Some(Response::ResponseHeaders(head)) = answers[0].response.clone() else {
        panic!("{answers:?}")
    };
    let changes = head.response.unwrap().header_mutation.unwrap();
    let set = changes.set_headers.into_iter().map(|field| field.header.unwrap());
    let cookies: Vec<_> =
        set.filter(|field| field.key == "set-cookie").map(|field| field.raw_value).collect();
    assert_eq!(cookies, [b"login=1"]);
}
