//! Conversion between Envoy's messages and HTTP heads.

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue, HeaderValueOption};
use envoy_types::pb::envoy::service::ext_proc::v3::{
    HeaderMutation, HttpHeaders, ImmediateResponse,
};
use envoy_types::pb::envoy::r#type::v3::HttpStatus;
use envoy_types::pb::google::protobuf::BoolValue;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, SET_COOKIE};
use http::{HeaderName, Method, Response, StatusCode, Uri};
use thiserror::Error;

use crate::filter::{Carrier, RequestCarrier};
use crate::http::{Change, FieldSection, Fields, QueryEdit};

/// Envoy's default limit of header fields, including `:status` (`max_headers_count`).
const MAX_FIELDS: usize = 100;
/// The field with the target of a request.
const PATH: &str = ":path";

/// Why a message cannot be filtered.
#[derive(Debug, Error)]
pub(super) enum ConvertError {
    #[error("message without headers")]
    NoHeaders,
    #[error("malformed field in the head")]
    BadField,
    #[error("head without method, path or host")]
    NoTarget,
    #[error("head without status")]
    NoStatus,
}

/// A head or trailers as sent by Envoy, and the changes to them.
#[derive(Debug)]
pub(super) struct EnvoyHead {
    fields: FieldSection,
    /// The number of fields sent by Envoy, including pseudo-header fields.
    sent: usize,
    pseudo: usize,
    /// The names of changed fields, and whether Envoy sent a field of that name.
    changed: Vec<(HeaderName, bool)>,
    /// The target of a request as sent by Envoy.
    path: Bytes,
    /// The target of a request after the edits, if they changed it.
    edited_path: Option<Vec<u8>>,
}

/// The pseudo-header fields of a head.
type Pseudo<'a> = Vec<(&'a str, &'a [u8])>;

/// The method and the URI of a request.
#[derive(Debug)]
pub(super) struct RequestLine {
    pub(super) method: Method,
    pub(super) uri: Uri,
}

impl Fields for EnvoyHead {
    fn values<'a>(
        &'a self,
        name: &HeaderName,
    ) -> impl DoubleEndedIterator<Item = &'a [u8]> + use<'a> {
        self.fields.values(name)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.names()
    }

    fn count(&self) -> usize {
        self.fields.count()
    }
}

impl Carrier for EnvoyHead {
    fn remove(&mut self, name: &HeaderName) {
        self.changing(name).remove(name);
    }

    fn set(&mut self, name: &HeaderName, value: Bytes) {
        self.changing(name).insert(name, value);
    }

    fn append(&mut self, name: &HeaderName, value: Bytes) {
        self.changing(name).append(name, value);
    }

    fn each(&mut self, name: &HeaderName, changes: Vec<Change>) {
        self.changing(name).each(name, changes);
    }
}

impl RequestCarrier for EnvoyHead {
    fn fields(&mut self) -> &mut impl Carrier {
        self
    }

    fn edit_query(&mut self, edit: &QueryEdit) {
        self.edited_path = Some(edit.apply(&self.path));
    }
}

impl EnvoyHead {
    fn of(message: &HttpHeaders) -> Result<(Self, Pseudo<'_>), ConvertError> {
        let fields = message.headers.as_ref().ok_or(ConvertError::NoHeaders)?;
        Self::of_fields(&fields.headers)
    }

    /// Parses trailers.
    pub(super) fn trailers(fields: Option<&HeaderMap>) -> Result<Self, ConvertError> {
        let fields = fields.map_or(&[][..], |fields| fields.headers.as_slice());
        Ok(Self::of_fields(fields)?.0)
    }

    fn of_fields(sent: &[HeaderValue]) -> Result<(Self, Pseudo<'_>), ConvertError> {
        let mut pseudo = Vec::new();
        let mut fields = FieldSection::default();
        for field in sent {
            let (key, value) = (&field.key, value_of(field));
            if key.starts_with(':') {
                pseudo.push((key.as_str(), value));
                continue;
            }
            let name = HeaderName::from_bytes(key.as_bytes());
            let name = name.map_err(|_| ConvertError::BadField)?;
            let before = fields.count();
            fields.append(&name, value);
            if fields.count() == before {
                return Err(ConvertError::BadField);
            }
        }
        let head = Self {
            fields,
            sent: sent.len(),
            pseudo: pseudo.len(),
            changed: Vec::new(),
            path: Bytes::new(),
            edited_path: None,
        };
        Ok((head, pseudo))
    }

    /// Marks a field as changed.
    fn changing(&mut self, name: &HeaderName) -> &mut FieldSection {
        if !self.changed.iter().any(|(changed, _)| changed == name) {
            self.changed.push((name.clone(), self.fields.has(name)));
        }
        &mut self.fields
    }

    /// The mutation for Envoy. Fields with several values are replaced as a whole, because Envoy cannot change a
    /// single line.
    pub(super) fn mutation(&self) -> HeaderMutation {
        let mut mutation = HeaderMutation::default();
        mutation.set_headers.extend(self.edited_path.as_deref().map(|path| replaced(PATH, path)));
        for (name, was_sent) in &self.changed {
            if *was_sent {
                mutation.remove_headers.push(name.as_str().to_owned());
            }
            mutation
                .set_headers
                .extend(self.fields.values(name).map(|value| appended(name, value)));
        }
        mutation
    }

    /// Removes `Set-Cookie` lines added by consentry, last ones first, if the response would exceed Envoy's field
    /// limit. `lines` is the number of lines sent by the origin.
    pub(super) fn limit_fields(&mut self, lines: usize) {
        // If the origin sent more fields, Envoy's limit is higher. Nothing is added to them.
        let limit = MAX_FIELDS.max(self.sent) - self.pseudo;
        let surplus = self.fields.count().saturating_sub(limit);
        let left = self.fields.values(&SET_COOKIE).count().saturating_sub(surplus).max(lines);
        let mut line = 0;
        self.fields.change(&SET_COOKIE, |_| {
            line += 1;
            if line > left { Change::Remove } else { Change::Keep }
        });
    }
}

fn value_of(field: &HeaderValue) -> &[u8] {
    if field.raw_value.is_empty() { field.value.as_bytes() } else { &field.raw_value }
}

fn pseudo<'a>(fields: &Pseudo<'a>, name: &str) -> Option<&'a [u8]> {
    fields.iter().find(|(field, _)| *field == name).map(|(_, value)| *value)
}

/// Parses the head of a request. `Host` is Envoy's `:authority`.
///
/// # Errors
/// When the message has invalid fields, or no method or path.
pub(super) fn request(message: &HttpHeaders) -> Result<(RequestLine, EnvoyHead), ConvertError> {
    let (mut head, fields) = EnvoyHead::of(message)?;
    let method = pseudo(&fields, ":method").and_then(|text| Method::from_bytes(text).ok());
    let path = pseudo(&fields, PATH);
    let uri = path.and_then(|text| Uri::try_from(text).ok());
    let (Some(method), Some(uri)) = (method, uri) else { return Err(ConvertError::NoTarget) };
    head.path = Bytes::copy_from_slice(path.unwrap_or_default());
    if let Some(host) = pseudo(&fields, ":authority") {
        head.fields.insert(&HOST, host);
    }
    Ok((RequestLine { method, uri }, head))
}

/// Parses the head of a response.
///
/// # Errors
/// When the message has invalid fields, or no status.
pub(super) fn response(message: &HttpHeaders) -> Result<(StatusCode, EnvoyHead), ConvertError> {
    let (head, fields) = EnvoyHead::of(message)?;
    let status = pseudo(&fields, ":status").and_then(|text| StatusCode::from_bytes(text).ok());
    Ok((status.ok_or(ConvertError::NoStatus)?, head))
}

/// Builds an answer that replaces the origin's response.
pub(super) fn immediate(reply: Response<Bytes>, details: &str) -> ImmediateResponse {
    let (parts, body) = reply.into_parts();
    // Envoy sets `content-length` itself. Its own `content-type` must be removed.
    let fields = parts.headers.iter().filter(|(name, _)| **name != CONTENT_LENGTH);
    let mut headers = HeaderMutation::default();
    for (name, value) in fields {
        let first = !headers.remove_headers.iter().any(|field| field == name.as_str());
        if first {
            headers.remove_headers.push(name.as_str().to_owned());
        }
        headers.set_headers.push(appended(name, value.as_bytes()));
    }
    ImmediateResponse {
        status: Some(HttpStatus { code: i32::from(parts.status.as_u16()) }),
        headers: Some(headers),
        // Envoy drops the media type of an empty body, and browsers reject a script without a media type.
        body: match body.is_empty() && parts.headers.contains_key(CONTENT_TYPE) {
            true => b"\n".to_vec(),
            false => body.into(),
        },
        grpc_status: None,
        details: details.to_owned(),
    }
}

/// Replaces the value of a pseudo-header field, which cannot be removed.
fn replaced(name: &str, value: &[u8]) -> HeaderValueOption {
    #[expect(deprecated, reason = "Envoy ignores `append_action` without it")]
    HeaderValueOption {
        append: Some(BoolValue { value: false }),
        header: Some(HeaderValue {
            key: name.to_owned(),
            value: String::new(),
            raw_value: value.to_vec(),
        }),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..HeaderValueOption::default()
    }
}

/// Appends a value to a field whose earlier values are removed.
fn appended(name: &HeaderName, value: &[u8]) -> HeaderValueOption {
    #[expect(deprecated, reason = "Envoy ignores `append_action` without it")]
    HeaderValueOption {
        append: Some(BoolValue { value: true }),
        header: Some(HeaderValue {
            key: name.as_str().to_owned(),
            value: String::new(),
            raw_value: value.to_vec(),
        }),
        append_action: HeaderAppendAction::AppendIfExistsOrAdd.into(),
        ..HeaderValueOption::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::{CACHE_CONTROL, COOKIE};

    fn message(fields: &[(&str, &[u8], &str)]) -> HttpHeaders {
        let headers = fields.iter().map(|(key, raw, value)| HeaderValue {
            key: (*key).to_owned(),
            value: (*value).to_owned(),
            raw_value: raw.to_vec(),
        });
        HttpHeaders {
            headers: Some(HeaderMap { headers: headers.collect() }),
            ..HttpHeaders::default()
        }
    }

    #[test]
    fn header_values_keep_their_bytes_in_both_envoy_encodings() {
        let fields: &[(&str, &[u8], &str)] = &[
            (":method", b"GET", ""),
            (":path", b"/a?b", ""),
            (":authority", b"", "shop.example"),
            (":scheme", b"https", ""),
            ("cookie", b"a=\xff", ""),
            ("cookie", b"", "b=1"),
        ];
        let (target, head) = request(&message(fields)).expect("a request");
        assert_eq!((&target.method, target.uri.to_string().as_str()), (&Method::GET, "/a?b"));
        assert_eq!(head.value(&HOST), Some(&b"shop.example"[..]));
        assert!(head.values(&COOKIE).eq([&b"a=\xff"[..], b"b=1"]));
    }

    #[test]
    fn messages_that_cannot_be_filtered_are_errors() {
        assert!(request(&HttpHeaders::default()).is_err());
        assert!(request(&message(&[(":method", b"GET", "")])).is_err());
        let bad: &[(&str, &[u8], &str)] =
            &[(":method", b"GET", ""), (":path", b"/", ""), ("a b", b"1", "")];
        assert!(request(&message(bad)).is_err());
        let bad = [&bad[..2], &[("a", b"1\r\nb: 2", "")]].concat();
        assert!(request(&message(&bad)).is_err());
        assert!(response(&message(&[("x", b"1", "")])).is_err());
        assert!(response(&message(&[(":status", b"2000", "")])).is_err());
    }

    const NEL: HeaderName = HeaderName::from_static("nel");

    #[test]
    fn a_mutation_has_every_value_of_each_changed_field_and_no_other_field() {
        let message = message(&[
            (":status", b"200", ""),
            ("set-cookie", b"a", ""),
            ("set-cookie", b"", "b"),
            ("x", b"1", ""),
            ("nel", b"2", ""),
        ]);
        let (_, mut head) = response(&message).expect("a response");
        assert_eq!(head.mutation(), HeaderMutation::default());
        Carrier::remove(&mut head, &NEL);
        head.each(&SET_COOKIE, vec![Change::Remove, Change::Keep]);
        head.set(&CACHE_CONTROL, Bytes::from_static(b"private"));
        Carrier::append(&mut head, &SET_COOKIE, Bytes::from_static(b"c"));
        let HeaderMutation { remove_headers, set_headers } = head.mutation();
        assert_eq!(remove_headers, ["nel", "set-cookie"]);
        let set: Vec<_> = set_headers
            .into_iter()
            .map(|option| option.header.expect("a header"))
            .map(|header| (header.key, String::from_utf8(header.raw_value).expect("text")))
            .collect();
        let expected = [("set-cookie", "b"), ("set-cookie", "c"), ("cache-control", "private")];
        assert_eq!(set, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn an_edit_of_the_query_replaces_the_path_and_keeps_its_other_bytes() {
        let fields: &[(&str, &[u8], &str)] =
            &[(":method", b"GET", ""), (":path", b"/a?q=\xc3\xa9&id=1&r=2", ""), ("x", b"1", "")];
        let (target, mut head) = request(&message(fields)).expect("a request");
        let query = target.uri.query().expect("a query");
        head.edit_query(&QueryEdit::new(query, vec![1]).expect("an edit"));
        let HeaderMutation { remove_headers, set_headers } = head.mutation();
        assert!(remove_headers.is_empty(), "{remove_headers:?}");
        let [option] = set_headers.as_slice() else { unreachable!("one: {set_headers:?}") };
        let header = option.header.as_ref().expect("a header");
        assert_eq!(
            (header.key.as_str(), header.raw_value.as_slice()),
            (":path", &b"/a?q=\xc3\xa9&r=2"[..])
        );
        assert_eq!(option.append_action(), HeaderAppendAction::OverwriteIfExistsOrAdd);
    }

    #[test]
    fn added_lines_keep_a_response_within_the_limit_of_envoy() {
        for (fields, sent, added, left) in
            [(10, 2, 200, 99), (96, 2, 5, 99), (97, 2, 1, 99), (98, 0, 1, 99), (150, 2, 3, 152)]
        {
            let mut lines = vec![(":status", &b"200"[..], "")];
            lines.extend((0..fields).map(|_| ("x", &b"1"[..], "")));
            lines.extend((0..sent).map(|_| ("set-cookie", &b"kept=1"[..], "")));
            let (_, mut head) = response(&message(&lines)).expect("a response");
            for _ in 0..added {
                Carrier::append(&mut head, &SET_COOKIE, Bytes::from_static(b"gone=; Max-Age=0"));
            }
            head.limit_fields(sent);
            let kept = head.values(&SET_COOKIE).filter(|line| *line == b"kept=1").count();
            assert_eq!((head.count(), kept), (left, sent), "{fields} fields, {added} added");
        }
    }
}
