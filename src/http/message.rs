//! HTTP messages inside the proxy: a head with its field section, and a body of any type.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};

use super::fields::FieldSection;
use super::query::QueryEdit;

/// An HTTP request.
#[derive(Debug)]
pub(crate) struct Request<B> {
    pub(crate) method: Method,
    /// Path and query. Scheme and authority are present only for an HTTP/2 upstream.
    pub(crate) uri: Uri,
    /// The target as received, if it has bytes that are invalid in a URI.
    pub(crate) raw_target: Option<Box<RawTarget>>,
    pub(crate) fields: FieldSection,
    pub(crate) body: B,
}

/// An origin-form target with bytes that are invalid in a URI.
#[derive(Debug, Clone)]
pub(crate) struct RawTarget {
    /// Path and query of the percent-encoded URI.
    pub(crate) uri: Box<str>,
    pub(crate) received: Bytes,
}

impl<B> Request<B> {
    /// Creates a request without fields.
    pub(crate) fn new(method: Method, uri: Uri, body: B) -> Self {
        Self { method, uri, raw_target: None, fields: FieldSection::default(), body }
    }

    /// Replaces the body.
    pub(crate) fn map<C>(self, map: impl FnOnce(B) -> C) -> Request<C> {
        let Self { method, uri, raw_target, fields, body } = self;
        Request { method, uri, raw_target, fields, body: map(body) }
    }

    /// Splits the request into head and body.
    pub(crate) fn into_parts(self) -> (Request<()>, B) {
        let Self { method, uri, raw_target, fields, body } = self;
        (Request { method, uri, raw_target, fields, body: () }, body)
    }

    /// The origin-form target. This is the target as received, unless the URI has changed since.
    pub(crate) fn target(&self) -> &[u8] {
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        match &self.raw_target {
            Some(raw) if *raw.uri == *path => &raw.received,
            _ => path.as_bytes(),
        }
    }

    /// Removes query parameters from the target, also from the target as received.
    pub(crate) fn edit_query(&mut self, edit: &QueryEdit) {
        let path = |uri: &Uri| uri.path_and_query().map_or("/", |path| path.as_str()).into();
        let unchanged = |raw: &RawTarget| raw.uri == path(&self.uri);
        let raw = self.raw_target.take_if(|raw| unchanged(raw));
        self.uri = edit.uri(&self.uri);
        self.raw_target = raw.map(|raw| {
            let received = edit.apply(&raw.received).into();
            Box::new(RawTarget { uri: path(&self.uri), received })
        });
    }

    /// Converts to `http::Request`. Fields that only HTTP/1.1 can carry are dropped.
    pub(crate) fn into_http(self) -> http::Request<B> {
        let mut request = http::Request::new(self.body);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.headers_mut() = self.fields.to_map();
        request
    }

    /// Converts from `http::Request`.
    pub(crate) fn from_http(request: http::Request<B>) -> Self {
        let (parts, body) = request.into_parts();
        let fields = FieldSection::from_map(&parts.headers);
        Self { method: parts.method, uri: parts.uri, raw_target: None, fields, body }
    }
}

/// An HTTP response.
#[derive(Debug)]
pub(crate) struct Response<B> {
    pub(crate) status: StatusCode,
    /// The reason phrase, if it is not the canonical one.
    pub(crate) reason: Option<Box<str>>,
    pub(crate) fields: FieldSection,
    pub(crate) body: B,
}

impl<B> Response<B> {
    /// Creates a response without fields.
    pub(crate) fn new(status: StatusCode, body: B) -> Self {
        Self { status, reason: None, fields: FieldSection::default(), body }
    }

    /// Replaces the body.
    pub(crate) fn map<C>(self, map: impl FnOnce(B) -> C) -> Response<C> {
        let Self { status, reason, fields, body } = self;
        Response { status, reason, fields, body: map(body) }
    }

    /// Splits the response into head and body.
    pub(crate) fn into_parts(self) -> (Response<()>, B) {
        let Self { status, reason, fields, body } = self;
        (Response { status, reason, fields, body: () }, body)
    }

    /// The reason phrase.
    pub(crate) fn reason(&self) -> &str {
        let usual = || self.status.canonical_reason().unwrap_or_default();
        self.reason.as_deref().unwrap_or_else(usual)
    }

    /// Converts to `http::Response`. Fields that only HTTP/1.1 can carry are dropped.
    pub(crate) fn into_http(self) -> http::Response<B> {
        let mut response = http::Response::new(self.body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.fields.to_map();
        response
    }

    /// Converts from `http::Response`.
    pub(crate) fn from_http(response: http::Response<B>) -> Self {
        let (parts, body) = response.into_parts();
        Self::of(parts.status, &parts.headers, body)
    }

    /// Creates a response with these fields.
    pub(crate) fn of(status: StatusCode, fields: &HeaderMap, body: B) -> Self {
        Self { status, reason: None, fields: FieldSection::from_map(fields), body }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_of_the_query_keeps_the_received_bytes_of_the_target() {
        let uri = Uri::from_static("/a?q=%FF&id=1&r=%FE");
        let mut request = Request::new(Method::GET, uri, ());
        let received = Bytes::from_static(b"/a?q=\xff&id=1&r=\xfe");
        request.raw_target =
            Some(Box::new(RawTarget { uri: "/a?q=%FF&id=1&r=%FE".into(), received }));
        let edit = QueryEdit::new("q=%FF&id=1&r=%FE", vec![1]).expect("an edit");
        request.edit_query(&edit);
        assert_eq!(request.uri, "/a?q=%FF&r=%FE");
        assert_eq!(request.target(), b"/a?q=\xff&r=\xfe");
    }
}
