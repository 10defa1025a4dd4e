//! Spans, as received by an OTLP collector.
//!
//! `cargo test --features otel --test otel`

#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

#[path = "../blackbox/support/mod.rs"]
mod support;

use serde_json::Value;
use support::{Origin, Proxy};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// The spans of a message.
fn spans(body: &[u8]) -> Vec<Value> {
    let message: Value = serde_json::from_slice(body).unwrap();
    let mut spans = Vec::new();
    for resource in message["resourceSpans"].as_array().unwrap() {
        assert!(resource["resource"].to_string().contains("consentry"), "{resource}");
        for scope in resource["scopeSpans"].as_array().unwrap() {
            spans.extend(scope["spans"].as_array().unwrap().clone());
        }
    }
    spans
}

fn attribute<'a>(span: &'a Value, key: &str) -> &'a Value {
    let mut all = span["attributes"].as_array().unwrap().iter();
    &all.find(|attribute| attribute["key"] == key).unwrap()["value"]
}

#[test]
fn a_request_is_a_span_of_the_incoming_trace_and_the_trace_is_forwarded() {
    let collector = Origin::responding("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    let origin = Origin::responding("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json".to_owned()),
        ("OTEL_BSP_SCHEDULE_DELAY", "50".to_owned()),
    ];
    let mut proxy = Proxy::start_with_env(&environment, &origin, "");
    let parent = "00f067aa0ba902b7";
    let fields = [
        ("traceparent", &*format!("00-{TRACE}-{parent}-01")),
        ("tracestate", "vendor=1"),
        ("Cookie", "sid=marked"),
    ];
    proxy.get("/cart?secret=marked", &fields);
    let forwarded = origin.next_request();
    let traceparent = forwarded.field("traceparent").unwrap();
    let (before, id) = (&traceparent[..36], &traceparent[36..52]);
    assert_eq!(before, format!("00-{TRACE}-"));
    assert!(id != parent && traceparent.ends_with("-01"), "{traceparent}");
    assert_eq!(forwarded.field("tracestate").as_deref(), Some("vendor=1"));

    let message = collector.next_request();
    assert_eq!(message.line, "POST /v1/traces HTTP/1.1");
    assert!(!String::from_utf8_lossy(&message.body).contains("marked"));
    let [span] = spans(&message.body).try_into().unwrap();
    assert_eq!((&span["traceId"], &span["spanId"]), (&TRACE.into(), &id.into()));
    assert_eq!((&span["parentSpanId"], &span["name"]), (&parent.into(), &"GET".into()));
    assert_eq!(attribute(&span, "url.path")["stringValue"], "/cart");
    assert_eq!(attribute(&span, "consentry.site")["stringValue"], "default");
    assert!(attribute(&span, "http.response.status_code")["intValue"].to_string().contains("503"));

    // An unsampled span is propagated, and not exported.
    proxy.get("/", &[("traceparent", &*format!("00-{TRACE}-{parent}-00"))]);
    assert!(origin.next_request().field("traceparent").unwrap().ends_with("-00"));
    // The remaining spans are exported at exit.
    proxy.get("/last", &[]);
    proxy.signal("TERM");
    assert!(proxy.exit_status().success());
    let paths: Vec<Value> = std::iter::from_fn(|| collector.try_next_request())
        .flat_map(|message| spans(&message.body))
        .map(|span| attribute(&span, "url.path")["stringValue"].clone())
        .collect();
    assert_eq!(paths, ["/last"]);
}

#[test]
fn without_the_variables_there_are_no_spans_and_the_trace_passes_unchanged() {
    let origin = Origin::responding("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let proxy = Proxy::start(&origin, "");
    let traceparent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    proxy.get("/", &[("traceparent", &*traceparent)]);
    assert_eq!(origin.next_request().field("traceparent"), Some(traceparent));
}
