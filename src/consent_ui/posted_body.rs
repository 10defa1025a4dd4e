//! Parsing of posted consent choices.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use http::{Method, Request};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use tower::BoxError;

use super::csrf::Sender;
use super::error::{ConsentUiError, allow};
use crate::consent::{CategorySet, ConsentReader};
use crate::http::{Fields, without_parameters};

/// Maximum body size, in bytes.
const MAX_BYTES: usize = 4096;

/// Media types of JSON and of a form.
pub(super) const JSON: [&str; 2] = ["application/json", "text/plain"];
pub(super) const URL_ENCODED: &str = "application/x-www-form-urlencoded";

/// A body that pages post.
pub(super) trait PostedBody: Sized {
    /// The accepted media types.
    const MEDIA_TYPES: &'static [&'static str];

    /// Parses a body with one of these media types.
    fn read(media_type: &str, body: &[u8]) -> Result<Self, ConsentUiError>;
}

/// A JSON body, posted by a script.
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned> PostedBody for JsonBody<T> {
    const MEDIA_TYPES: &'static [&'static str] = &JSON;

    fn read(_: &str, body: &[u8]) -> Result<Self, ConsentUiError> {
        serde_json::from_slice(body).map(Self).map_err(|_| ConsentUiError::NotAChoice)
    }
}

/// The form of the preference centre or the banner.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct FormBody {
    /// `accept`, `reject` or `save`.
    pub(super) choice: Option<String>,
    /// The categories that are switched on.
    pub(super) allow: Vec<String>,
    pub(super) return_to: Option<String>,
    /// The language of the form.
    pub(super) lang: Option<String>,
    /// The version of the form's texts.
    pub(super) texts: Option<String>,
    /// Posted by the banner.
    pub(super) banner: bool,
    /// The token of a form of the preference centre.
    pub(super) token: Option<String>,
}

impl PostedBody for FormBody {
    const MEDIA_TYPES: &'static [&'static str] = &[URL_ENCODED];

    fn read(_: &str, body: &[u8]) -> Result<Self, ConsentUiError> {
        let mut form = Self::default();
        for (name, value) in form_urlencoded::parse(body) {
            let value = value.into_owned();
            match &*name {
                "choice" => form.choice = Some(value),
                "allow" => form.allow.push(value),
                // Empty in the banner of a compressed page.
                "return_to" => form.return_to = Some(value).filter(|path| !path.is_empty()),
                "lang" => form.lang = Some(value),
                "texts" => form.texts = Some(value),
                "banner" => form.banner = true,
                "token" => form.token = Some(value),
                _ => return Err(ConsentUiError::NotAForm),
            }
        }
        Ok(form)
    }
}

/// The categories with these names, plus the strictly necessary one.
pub(super) fn allowed(
    reader: &ConsentReader,
    names: &[String],
) -> Result<CategorySet, ConsentUiError> {
    let mut set = CategorySet::NECESSARY;
    for name in names {
        set.insert(reader.categories.find(name).ok_or(ConsentUiError::UnknownCategory)?);
    }
    Ok(set)
}

/// Reads a posted choice. Rejects requests from other sites.
pub(super) async fn posted<T, B>(
    reader: &ConsentReader,
    request: Request<B>,
) -> Result<(HeaderMap, T), ConsentUiError>
where
    T: PostedBody,
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    is_posted(&request)?;
    if !reader.reads_own_cookie() {
        return Err(ConsentUiError::NotASource);
    }
    posted_body(request).await
}

/// Reads the form of the preference centre or the banner, and who sent it. Rejects requests from
/// other sites.
pub(super) async fn posted_form<B>(
    reader: &ConsentReader,
    request: Request<B>,
) -> Result<(HeaderMap, FormBody, Sender), ConsentUiError>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    let sender = Sender::of(request.headers());
    allow(request.method(), &[Method::POST])?;
    if sender == Sender::Other {
        return Err(ConsentUiError::CrossSite);
    }
    if !reader.reads_own_cookie() {
        return Err(ConsentUiError::NotASource);
    }
    let (headers, form) = read(request).await?;
    Ok((headers, form, sender))
}

/// Reads a posted body. Rejects requests from other sites.
pub(super) async fn posted_body<T, B>(request: Request<B>) -> Result<(HeaderMap, T), ConsentUiError>
where
    T: PostedBody,
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    is_posted(&request)?;
    read(request).await
}

async fn read<T, B>(request: Request<B>) -> Result<(HeaderMap, T), ConsentUiError>
where
    T: PostedBody,
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    let media_type = is_readable(request.headers(), T::MEDIA_TYPES)?;
    let (head, body) = request.into_parts();
    let body = Limited::new(body, MAX_BYTES).collect().await.map_err(|error| match error
        .is::<LengthLimitError>(
    ) {
        true => ConsentUiError::TooLarge(MAX_BYTES),
        false => ConsentUiError::Broken,
    })?;
    Ok((head.headers, T::read(media_type, &body.to_bytes())?))
}

/// Checks that a request is a `POST` from a page of the site.
fn is_posted<B>(request: &Request<B>) -> Result<(), ConsentUiError> {
    allow(request.method(), &[Method::POST])?;
    match Sender::of(request.headers()) {
        Sender::SameOrigin => Ok(()),
        Sender::Other | Sender::Unknown => Err(ConsentUiError::CrossSite),
    }
}

/// The media type of the body. Rejects unsupported media types and bodies that are too long.
fn is_readable(
    headers: &HeaderMap,
    read: &'static [&'static str],
) -> Result<&'static str, ConsentUiError> {
    let media_type = headers.value(&CONTENT_TYPE).map(without_parameters).unwrap_or_default();
    let is = |read: &&&str| media_type.eq_ignore_ascii_case(read.as_bytes());
    let known = read.iter().find(is).copied();
    let length: Option<u64> =
        headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    match length {
        Some(length) if length > MAX_BYTES as u64 => Err(ConsentUiError::TooLarge(MAX_BYTES)),
        _ => known.ok_or(ConsentUiError::MediaType(read)),
    }
}
