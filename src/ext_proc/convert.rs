//! Between Envoy's messages and heads of HTTP.

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{
    HeaderMap as Fields, HeaderValue, HeaderValueOption,
};
use envoy_types::pb::envoy::service::ext_proc::v3::{
    HeaderMutation, HttpHeaders, ImmediateResponse,
};
use envoy_types::pb::envoy::r#type::v3::HttpStatus;
use envoy_types::pb::google::protobuf::BoolValue;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, SET_COOKIE};
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, Uri};
use thiserror::Error;

/// The most fields of a head that Envoy accepts by default, `:status` included (`max_headers_count`).
const MAX_FIELDS: usize = 100;

/// Why a message cannot be judged.
#[derive(Debug, Error)]
pub(super) enum ConvertError {
    #[error("the message has no headers")]
    NoHeaders,
    #[error("a field of the head is malformed")]
    BadField,
    #[error("the head has no method, path or host")]
    NoTarget,
    #[error("the head has no status")]
    NoStatus,
}

/// A head as Envoy tells it: what begins with a colon apart.
struct Head<'a> {
    pseudo: Vec<(&'a str, &'a [u8])>,
    headers: HeaderMap,
}

impl<'a> Head<'a> {
    fn of(message: &'a HttpHeaders) -> Result<Self, ConvertError> {
        let fields = message.headers.as_ref().ok_or(ConvertError::NoHeaders)?;
        Self::of_fields(&fields.headers)
    }

    fn of_fields(fields: &'a [HeaderValue]) -> Result<Self, ConvertError> {
        let mut head = Head { pseudo: Vec::new(), headers: HeaderMap::with_capacity(fields.len()) };
        for field in fields {
            let (key, value) = (&field.key, value_of(field));
            if key.starts_with(':') {
                head.pseudo.push((key, value));
                continue;
            }
            let name = HeaderName::from_bytes(key.as_bytes());
            let value = http::HeaderValue::from_bytes(value);
            let (Ok(name), Ok(value)) = (name, value) else { return Err(ConvertError::BadField) };
            head.headers.append(name, value);
        }
        Ok(head)
    }

    fn pseudo(&self, name: &str) -> Option<&'a [u8]> {
        self.pseudo.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

/// One of the two is set: which, depends on the version of Envoy.
fn value_of(field: &HeaderValue) -> &[u8] {
    if field.raw_value.is_empty() { field.value.as_bytes() } else { &field.raw_value }
}

/// The head of a request, with its host in `Host`.
pub(super) fn request(message: &HttpHeaders) -> Result<Request<()>, ConvertError> {
    let head = Head::of(message)?;
    let method = head.pseudo(":method").and_then(|text| Method::from_bytes(text).ok());
    let path = head.pseudo(":path").and_then(|text| Uri::try_from(text).ok());
    let host = head.pseudo(":authority").and_then(|text| http::HeaderValue::from_bytes(text).ok());
    let (Some(method), Some(path)) = (method, path) else { return Err(ConvertError::NoTarget) };
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = path;
    *request.headers_mut() = head.headers;
    if let Some(host) = host {
        request.headers_mut().insert(HOST, host);
    }
    Ok(request)
}

/// The head of a response.
pub(super) fn response(message: &HttpHeaders) -> Result<Response<()>, ConvertError> {
    let head = Head::of(message)?;
    let status = head.pseudo(":status").and_then(|text| StatusCode::from_bytes(text).ok());
    let mut response = Response::new(());
    *response.status_mut() = status.ok_or(ConvertError::NoStatus)?;
    *response.headers_mut() = head.headers;
    Ok(response)
}

/// The fields of a message.
fn fields_of(message: &HttpHeaders) -> &[HeaderValue] {
    message.headers.as_ref().map_or(&[], |fields| fields.headers.as_slice())
}

/// What to change in the head of a message, so that its fields become `after`: every value of each name that differs.
/// `Host` is Envoy's.
pub(super) fn difference(message: &HttpHeaders, after: &HeaderMap) -> HeaderMutation {
    changes(fields_of(message), after)
}

fn changes(before: &[HeaderValue], after: &HeaderMap) -> HeaderMutation {
    let mut mutation = HeaderMutation::default();
    for (at, field) in before.iter().enumerate() {
        let is_first = || !before.iter().take(at).any(|seen| seen.key == field.key);
        if !field.key.starts_with(':') && !after.contains_key(&field.key) && is_first() {
            mutation.remove_headers.push(field.key.clone());
        }
    }
    for name in after.keys().filter(|name| **name != HOST) {
        let values = after.get_all(name);
        let old = || before.iter().filter(|field| field.key == name.as_str()).map(value_of);
        if old().eq(values.iter().map(http::HeaderValue::as_bytes)) {
            continue;
        }
        if old().next().is_some() {
            mutation.remove_headers.push(name.as_str().to_owned());
        }
        mutation.set_headers.extend(values.iter().map(|value| appended(name, value)));
    }
    mutation
}

/// Filters trailers, and says what to change in them.
pub(super) fn trailers(
    fields: Option<&Fields>,
    filter: impl FnOnce(&mut HeaderMap),
) -> Result<HeaderMutation, ConvertError> {
    let fields = fields.map_or(&[][..], |fields| fields.headers.as_slice());
    let mut trailers = Head::of_fields(fields)?.headers;
    filter(&mut trailers);
    Ok(changes(fields, &trailers))
}

/// Takes back `Set-Cookie` lines that were added to the head of a response, the last first, until Envoy accepts the
/// number of fields.
pub(super) fn limit_fields(message: &HttpHeaders, after: &mut HeaderMap) {
    let before = fields_of(message);
    let pseudo = before.iter().filter(|field| field.key.starts_with(':')).count();
    // Where the origin may send more, Envoy's limit is another, and nothing is added to what it sent.
    let most = MAX_FIELDS.max(before.len()) - pseudo;
    let surplus = after.len().saturating_sub(most);
    if surplus == 0 {
        return;
    }
    let sent = |line: &http::HeaderValue| {
        before
            .iter()
            .any(|field| field.key == SET_COOKIE.as_str() && value_of(field) == line.as_bytes())
    };
    let mut lines: Vec<_> = after.get_all(SET_COOKIE).iter().cloned().collect();
    for _ in 0..surplus {
        let Some(at) = lines.iter().rposition(|line| !sent(line)) else { break };
        lines.remove(at);
    }
    after.remove(SET_COOKIE);
    for line in lines {
        after.append(SET_COOKIE, line);
    }
}

/// An answer in the origin's stead.
pub(super) fn immediate(answer: Response<Bytes>, details: &str) -> ImmediateResponse {
    let (parts, body) = answer.into_parts();
    // Envoy counts itself, and its own `content-type` has to go.
    let fields = parts.headers.iter().filter(|(name, _)| **name != CONTENT_LENGTH);
    let mut headers = HeaderMutation::default();
    for (name, value) in fields {
        let first = !headers.remove_headers.iter().any(|known| known == name.as_str());
        if first {
            headers.remove_headers.push(name.as_str().to_owned());
        }
        headers.set_headers.push(appended(name, value));
    }
    ImmediateResponse {
        status: Some(HttpStatus { code: i32::from(parts.status.as_u16()) }),
        headers: Some(headers),
        // Envoy takes the media type away from an empty body, and browsers reject a script without one.
        body: match body.is_empty() && parts.headers.contains_key(CONTENT_TYPE) {
            true => b"\n".to_vec(),
            false => body.into(),
        },
        grpc_status: None,
        details: details.to_owned(),
    }
}

/// One more value of a field; what was there is removed before.
fn appended(name: &HeaderName, value: &http::HeaderValue) -> HeaderValueOption {
    #[expect(deprecated, reason = "`append_action` is not heeded without it")]
    HeaderValueOption {
        append: Some(BoolValue { value: true }),
        header: Some(HeaderValue {
            key: name.as_str().to_owned(),
            value: String::new(),
            raw_value: value.as_bytes().to_vec(),
        }),
        append_action: HeaderAppendAction::AppendIfExistsOrAdd.into(),
        ..HeaderValueOption::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(fields: &[(&str, &[u8], &str)]) -> HttpHeaders {
        let headers = fields.iter().map(|(key, raw, value)| HeaderValue {
            key: (*key).to_owned(),
            value: (*value).to_owned(),
            raw_value: raw.to_vec(),
        });
        HttpHeaders {
            headers: Some(Fields { headers: headers.collect() }),
            ..HttpHeaders::default()
        }
    }

    #[test]
    fn a_head_is_read_octet_by_octet_in_either_form() {
        let fields: &[(&str, &[u8], &str)] = &[
            (":method", b"GET", ""),
            (":path", b"/a?b", ""),
            (":authority", b"", "shop.example"),
            (":scheme", b"https", ""),
            ("cookie", b"a=\xff", ""),
            ("cookie", b"", "b=1"),
        ];
        let request = request(&message(fields)).expect("a request");
        assert_eq!((request.method(), request.uri().to_string().as_str()), (&Method::GET, "/a?b"));
        assert_eq!(request.headers()["host"], "shop.example");
        let cookies: Vec<_> = request.headers().get_all("cookie").iter().collect();
        assert_eq!(cookies, [&b"a=\xff"[..], b"b=1"]);
    }

    #[test]
    fn what_cannot_be_judged_is_an_error() {
        assert!(request(&HttpHeaders::default()).is_err());
        assert!(request(&message(&[(":method", b"GET", "")])).is_err());
        let bad: &[(&str, &[u8], &str)] =
            &[(":method", b"GET", ""), (":path", b"/", ""), ("a b", b"1", "")];
        assert!(request(&message(bad)).is_err());
        assert!(response(&message(&[("x", b"1", "")])).is_err());
        assert!(response(&message(&[(":status", b"2000", "")])).is_err());
    }

    #[test]
    fn the_difference_has_every_value_of_what_differs_and_nothing_else() {
        let before = message(&[
            (":status", b"200", ""),
            ("set-cookie", b"a", ""),
            ("set-cookie", b"", "b"),
            ("x", b"1", ""),
            ("nel", b"2", ""),
        ]);
        let after = map(&[("set-cookie", "b"), ("x", "1"), ("cache-control", "private")]);
        let HeaderMutation { mut remove_headers, set_headers } = difference(&before, &after);
        remove_headers.sort();
        assert_eq!(remove_headers, ["nel", "set-cookie"]);
        let mut set: Vec<_> = set_headers
            .into_iter()
            .map(|option| option.header.expect("a header"))
            .map(|header| (header.key, String::from_utf8(header.raw_value).expect("text")))
            .collect();
        set.sort();
        let expected = [("cache-control", "private"), ("set-cookie", "b")];
        assert_eq!(set, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let same = map(&[("set-cookie", "a"), ("set-cookie", "b"), ("x", "1"), ("nel", "2")]);
        assert_eq!(difference(&before, &same), HeaderMutation::default());
    }

    #[test]
    fn added_lines_leave_a_response_within_the_limit_of_envoy() {
        for (fields, sent, added, left) in
            [(10, 2, 200, 99), (96, 2, 5, 99), (97, 2, 1, 99), (98, 0, 1, 99), (150, 2, 3, 152)]
        {
            let mut head = vec![(":status", &b"200"[..], "")];
            head.extend((0..fields).map(|_| ("x", &b"1"[..], "")));
            head.extend((0..sent).map(|_| ("set-cookie", &b"kept=1"[..], "")));
            let mut after = response(&message(&head)).expect("a response").headers().clone();
            for _ in 0..added {
                after.append(SET_COOKIE, http::HeaderValue::from_static("gone=; Max-Age=0"));
            }
            limit_fields(&message(&head), &mut after);
            let kept = after.get_all(SET_COOKIE).iter().filter(|line| *line == "kept=1").count();
            assert_eq!((after.len(), kept), (left, sent), "{fields} fields, {added} added");
        }
    }

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(*name, http::HeaderValue::from_static(value));
        }
        map
    }
}
