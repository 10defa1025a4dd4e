//! Names of cookies and header fields.

use http::HeaderName;

use super::defaults::Ctx;
use crate::config::document::span;
use crate::config::spanned::Spanned;

/// Request fields with a defined meaning. A value of consentry's would be lost, or misinterpreted.
const TAKEN: &[&str] = &[
    "age",
    "authorization",
    "cache-control",
    "cdn-loop",
    "connection",
    "cookie",
    "cookie2",
    "date",
    "dnt",
    "expect",
    "forwarded",
    "from",
    "host",
    "http2-settings",
    "keep-alive",
    "link",
    "max-forwards",
    "origin",
    "pragma",
    "prefer",
    "priority",
    "range",
    "referer",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "traceparent",
    "tracestate",
    "upgrade",
    "upgrade-insecure-requests",
    "user-agent",
    "via",
    "warning",
    "x-forwarded-by",
    "x-forwarded-client-cert",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-forwarded-user",
    "x-real-ip",
    "x-request-id",
];

/// Prefixes of such fields.
const TAKEN_PREFIXES: &[&str] = &["accept", "access-control-", "content-", "if-", "proxy-", "sec-"];

/// Validates the name of a cookie, which has at most 64 bytes.
pub(super) fn cookie_name(document: Ctx, key: String, typed: &Spanned<String>) -> Option<String> {
    let text = typed.get_ref();
    let wildcard = text.contains(['*', '{', '}']);
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'=' | b';' | b',' | b'"');
    if !wildcard && !text.is_empty() && text.len() <= 64 && text.bytes().all(is_plain) {
        return Some(text.clone());
    }
    let message = format!("`{text}` is not a cookie name");
    let hint = if wildcard {
        "use a single name, without wildcards and placeholders"
    } else {
        "letters, digits, `-` and `_`, at most 64 of them"
    };
    document.problem(Some(span(typed)), key, message, Some(hint.to_owned()));
    None
}

/// Parses the name of a header field (RFC 9110 section 5.1).
pub(super) fn field_name(
    document: Ctx,
    key: String,
    typed: &Spanned<String>,
) -> Option<HeaderName> {
    let parsed = typed.get_ref().parse().ok();
    if parsed.is_none() {
        let message = format!("`{}` is not a header field name", typed.get_ref());
        document.problem(Some(span(typed)), key, message, None);
    }
    parsed
}

/// Parses the name of a request field that consentry may set.
pub(super) fn own_field(document: Ctx, key: String, typed: &Spanned<String>) -> Option<HeaderName> {
    let name = field_name(document, key.clone(), typed)?;
    let text = name.as_str();
    if !TAKEN.contains(&text) && !TAKEN_PREFIXES.iter().any(|prefix| text.starts_with(prefix)) {
        return Some(name);
    }
    let message = format!("`{}` is reserved in requests", typed.get_ref());
    let hint = Some("use another name, such as \"X-Consent\"".to_owned());
    document.problem(Some(span(typed)), key, message, hint);
    None
}
