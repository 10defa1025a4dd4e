//! Beacon detection by the response: a 1x1 image, or no content. A response without content counts
//! for an image request, a ping, and a POST whose response no script can read.

use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPIRES, LAST_MODIFIED, PRAGMA,
    SET_COOKIE,
};
use http::{Method, StatusCode};
use memchr::memmem::find;

use super::beacon_reply::ExpectedType;
use crate::http::{Fields, SEC_FETCH_DEST, SEC_FETCH_MODE, has_directive, without_parameters};

/// Maximum body size of a tracking pixel, in bytes.
const MAX_PIXEL_BYTES: usize = 1024;

/// Classification of a response by its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Candidate {
    /// Not a beacon.
    Ordinary,
    /// A beacon.
    Beacon,
    /// An image small enough that its first bytes decide.
    SmallImage,
    /// A response without `Content-Length` that is a beacon's if its body is empty.
    UnknownLength,
}

impl Candidate {
    /// Bytes of the body to read for a decision.
    pub(super) fn enough_bytes(self) -> usize {
        match self {
            Self::Ordinary | Self::Beacon => 0,
            Self::SmallImage => MAX_PIXEL_BYTES + 1,
            Self::UnknownLength => 1,
        }
    }

    /// Whether the response is a beacon's, by the first [`Self::enough_bytes`] of its body.
    /// `failed` means that the body ended with an error.
    pub(super) fn is_beacon(self, start: &[u8], failed: bool) -> bool {
        match self {
            Self::Ordinary => false,
            Self::Beacon => true,
            Self::SmallImage => is_small_pixel(start),
            Self::UnknownLength => start.is_empty() && !failed,
        }
    }
}

/// A POST whose response no script can read, by its content type: `navigator.sendBeacon`, or
/// `fetch` with the mode `no-cors`.
///
/// Forms are excluded, because sites save drafts and log out with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BeaconPost {
    /// No content type: binary data, or no data.
    Untyped,
    /// `text/plain`.
    Text,
    /// `application/octet-stream`.
    Binary,
    /// `application/json`.
    Json,
}

impl BeaconPost {
    /// Every value, in declaration order.
    pub const ALL: [Self; 4] = [Self::Untyped, Self::Text, Self::Binary, Self::Json];

    /// The kind of a request. `None` if the request is not such a POST, or has no Fetch Metadata.
    pub(super) fn of(method: &Method, fields: &impl Fields) -> Option<Self> {
        if method != Method::POST
            || fields.value(&SEC_FETCH_MODE) != Some(b"no-cors")
            || fields.value(&SEC_FETCH_DEST) != Some(b"empty")
        {
            return None;
        }
        let Some(sent) = fields.value(&CONTENT_TYPE).map(without_parameters) else {
            return Some(Self::Untyped);
        };
        let is_sent = |post: &Self| {
            post.content_type().is_some_and(|known| sent.eq_ignore_ascii_case(known.as_bytes()))
        };
        Self::ALL.into_iter().find(is_sent)
    }

    /// The content type, without parameters.
    pub fn content_type(self) -> Option<&'static str> {
        match self {
            Self::Untyped => None,
            Self::Text => Some("text/plain"),
            Self::Binary => Some("application/octet-stream"),
            Self::Json => Some("application/json"),
        }
    }

    pub(super) fn index(self) -> usize {
        self as usize
    }
}

/// Classifies the response to a [`BeaconPost`] by its head.
pub(super) fn classify_post(status: StatusCode, fields: &impl Fields) -> Candidate {
    match (status, fields.value(&CONTENT_LENGTH)) {
        (StatusCode::NO_CONTENT, _) => Candidate::Beacon,
        (StatusCode::OK | StatusCode::ACCEPTED, Some(b"0")) => Candidate::Beacon,
        (StatusCode::OK | StatusCode::ACCEPTED, None) => Candidate::UnknownLength,
        _ => Candidate::Ordinary,
    }
}

/// Classifies a response by its head.
pub(super) fn classify(
    method: &Method,
    query: Option<&str>,
    expected: ExpectedType,
    ping: bool,
    status: StatusCode,
    fields: &impl Fields,
) -> Candidate {
    if status == StatusCode::NO_CONTENT {
        return if expected == ExpectedType::Image || ping {
            Candidate::Beacon
        } else {
            Candidate::Ordinary
        };
    }
    if method == Method::GET && is_small_image(status, fields) && !is_static_file(query, fields) {
        Candidate::SmallImage
    } else {
        Candidate::Ordinary
    }
}

/// Whether the body is an image that may be as small as a pixel.
fn is_small_image(status: StatusCode, fields: &impl Fields) -> bool {
    if status != StatusCode::OK || fields.has(&CONTENT_ENCODING) {
        return false;
    }
    let image = fields
        .value(&CONTENT_TYPE)
        .and_then(|value| value.get(..6))
        .is_some_and(|start| start.eq_ignore_ascii_case(b"image/"));
    let small = match fields.value(&CONTENT_LENGTH) {
        None => true,
        Some(length) => std::str::from_utf8(length)
            .ok()
            .and_then(|length| length.parse::<usize>().ok())
            .is_some_and(|length| length <= MAX_PIXEL_BYTES),
    };
    image && small
}

/// Classifies the reply to a request that matches a wide beacon rule, which ordinary images match
/// too. Any small image may be the pixel.
pub(super) fn classify_for_wide_rule(status: StatusCode, fields: &impl Fields) -> Candidate {
    match status {
        StatusCode::NO_CONTENT => Candidate::Beacon,
        _ if is_small_image(status, fields) => Candidate::SmallImage,
        _ => Candidate::Ordinary,
    }
}

/// Whether the response is a cacheable static file, such as a spacer image. A beacon is uncacheable
/// or carries data in its query.
fn is_static_file(query: Option<&str>, fields: &impl Fields) -> bool {
    let versioned = query.is_none_or(|query| {
        let version = query.split_once('=').filter(|(_, value)| !value.contains('&'));
        version.is_some_and(|(key, _)| matches!(key, "v" | "ver" | "version" | "rev"))
    });
    // nginx's `empty_gif` module, made for beacons, sends a date of 1970.
    let dated = fields.value(&LAST_MODIFIED).is_some_and(|date| find(date, b" 1970 ").is_none());
    let uncacheable = ["no-store", "no-cache", "private", "max-age=0"];
    versioned
        && dated
        && !fields.has(&SET_COOKIE)
        && !fields.has(&PRAGMA)
        && !uncacheable.iter().any(|directive| has_directive(fields, directive))
        && (fields.has(&CACHE_CONTROL) || !fields.has(&EXPIRES))
}

/// Whether the body is a 1x1 image of at most [`MAX_PIXEL_BYTES`].
fn is_small_pixel(start: &[u8]) -> bool {
    start.len() <= MAX_PIXEL_BYTES && is_pixel(start)
}

/// Whether an image is 1x1, by its first bytes.
fn is_pixel(start: &[u8]) -> bool {
    match imagesize::blob_size(start) {
        Ok(size) => size.width == 1 && size.height == 1,
        Err(_) => is_svg_pixel(start),
    }
}

/// Whether the bytes start an SVG whose root element has `width` and `height` 1.
fn is_svg_pixel(start: &[u8]) -> bool {
    let Some(at) = find(start, b"<svg") else { return false };
    let root = start.get(at..).and_then(|root| root.split(|byte| *byte == b'>').next());
    let root = root.unwrap_or_default();
    let is_one = |name: &[u8]| {
        let value = find(root, name).and_then(|at| root.get(at + name.len()..));
        let value = value.and_then(|value| value.strip_prefix(b"\"").or(value.strip_prefix(b"'")));
        value.is_some_and(|value| {
            let end = value.iter().position(|byte| !(byte.is_ascii_digit() || *byte == b'.'));
            value.get(..end.unwrap_or(value.len())) == Some(b"1")
        })
    };
    is_one(b" width=") && is_one(b" height=")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::FieldSection;
    use http::{HeaderMap, HeaderValue};

    #[test]
    fn only_small_images_and_empty_responses_to_image_requests_are_suspects() {
        let look_of =
            |method: &Method, expected, status, fields: &[(&'static str, &'static str)]| {
                let mut headers = HeaderMap::new();
                for (name, value) in fields {
                    headers.insert(*name, HeaderValue::from_static(value));
                }
                classify(method, None, expected, false, status, &headers)
            };
        let gif = ("content-type", "image/gif");
        let (ok, none) = (StatusCode::OK, StatusCode::NO_CONTENT);
        let get = &Method::GET;
        assert_eq!(look_of(get, ExpectedType::Image, none, &[]), Candidate::Beacon);
        assert_eq!(look_of(get, ExpectedType::Nothing, none, &[]), Candidate::Ordinary);
        assert_eq!(look_of(get, ExpectedType::Image, ok, &[gif]), Candidate::SmallImage);
        assert_eq!(
            look_of(get, ExpectedType::Image, ok, &[gif, ("content-length", "43")]),
            Candidate::SmallImage
        );
        assert_eq!(
            look_of(get, ExpectedType::Image, ok, &[gif, ("content-length", "4300")]),
            Candidate::Ordinary
        );
        assert_eq!(
            look_of(get, ExpectedType::Image, ok, &[gif, ("content-encoding", "gzip")]),
            Candidate::Ordinary
        );
        assert_eq!(look_of(&Method::HEAD, ExpectedType::Image, ok, &[gif]), Candidate::Ordinary);
        assert_eq!(
            look_of(get, ExpectedType::Image, ok, &[("content-type", "text/html")]),
            Candidate::Ordinary
        );
    }

    #[test]
    fn only_posts_whose_response_no_script_reads_are_suspects() {
        let no_cors = [("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "empty")];
        for (content_type, post) in [
            (None, Some(BeaconPost::Untyped)),
            (Some("text/plain"), Some(BeaconPost::Text)),
            (Some("Text/Plain;charset=UTF-8"), Some(BeaconPost::Text)),
            (Some("application/octet-stream"), Some(BeaconPost::Binary)),
            (Some("application/json; charset=utf-8"), Some(BeaconPost::Json)),
            (Some("application/x-www-form-urlencoded;charset=UTF-8"), None),
            (Some("multipart/form-data; boundary=x"), None),
            (Some("text/ping"), None),
            (Some(""), None),
        ] {
            let mut fields = FieldSection::from_lines(&no_cors);
            if let Some(content_type) = content_type {
                fields.insert(&CONTENT_TYPE, content_type);
            }
            assert_eq!(BeaconPost::of(&Method::POST, &fields), post, "{content_type:?}");
            assert_eq!(BeaconPost::of(&Method::PUT, &fields), None, "{content_type:?}");
        }
        for fields in [
            &[][..],
            &no_cors[..1],
            &no_cors[1..],
            &[("sec-fetch-mode", "cors"), no_cors[1]],
            &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")],
            &[no_cors[0], ("sec-fetch-dest", "report")],
        ] {
            let section = FieldSection::from_lines(fields);
            assert_eq!(BeaconPost::of(&Method::POST, &section), None, "{fields:?}");
        }
    }

    #[test]
    fn a_post_is_a_beacon_only_if_its_response_is_empty() {
        for (status, length, candidate) in [
            (204, None, Candidate::Beacon),
            (200, Some("0"), Candidate::Beacon),
            (202, Some("0"), Candidate::Beacon),
            (200, None, Candidate::UnknownLength),
            (202, None, Candidate::UnknownLength),
            (200, Some("2"), Candidate::Ordinary),
            (201, Some("0"), Candidate::Ordinary),
            (302, Some("0"), Candidate::Ordinary),
            (404, Some("0"), Candidate::Ordinary),
            (500, None, Candidate::Ordinary),
        ] {
            let fields = length.map(|length| [("content-length", length)]);
            let fields =
                FieldSection::from_lines(fields.as_ref().map_or(&[], |fields| &fields[..]));
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(classify_post(status, &fields), candidate, "{status} {length:?}");
        }
        assert!(Candidate::UnknownLength.is_beacon(b"", false));
        assert!(!Candidate::UnknownLength.is_beacon(b"", true));
        assert!(!Candidate::UnknownLength.is_beacon(b"{", false));
        assert_eq!(Candidate::UnknownLength.enough_bytes(), 1);
    }

    #[test]
    fn static_files_are_not_suspects() {
        let of = |query: Option<&str>, fields: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            headers.insert("content-type", HeaderValue::from_static("image/gif"));
            for (name, value) in fields {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            classify(&Method::GET, query, ExpectedType::Image, false, StatusCode::OK, &headers)
        };
        let file = ("last-modified", "Tue, 24 Nov 2020 09:00:00 GMT");
        let cached = ("cache-control", "public, max-age=31536000");
        for (query, fields) in [
            (None, &[file][..]),
            (Some("v=5.2.1"), &[file, ("etag", "\"2b-5b4\"")]),
            (Some("ver=6"), &[file, cached, ("expires", "Wed, 24 Nov 2032 09:00:00 GMT")]),
        ] {
            assert_eq!(of(query, fields), Candidate::Ordinary, "{query:?} {fields:?}");
        }
        for (query, fields) in [
            (None, &[][..]),
            (None, &[cached]),
            (Some("uid=7"), &[file, cached]),
            (Some("v=5&uid=7"), &[file]),
            (Some("1700000000"), &[file]),
            (None, &[("last-modified", "Mon, 28 Sep 1970 06:00:00 GMT")]),
            (None, &[file, ("cache-control", "no-cache")]),
            (None, &[file, ("cache-control", "max-age=0")]),
            (None, &[file, ("expires", "0")]),
            (None, &[file, ("pragma", "no-cache")]),
            (None, &[file, ("set-cookie", "a=1")]),
        ] {
            assert_eq!(of(query, fields), Candidate::SmallImage, "{query:?} {fields:?}");
        }
    }

    #[test]
    fn the_size_of_an_image_is_read_from_its_first_bytes() {
        let gif = b"GIF89a\x01\x00\x01\x00\x80\x00\x00";
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0";
        let jpeg = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xc0\0\x0b\x08\0\x01\0\x01\x01\x01\x11\0";
        let webp =
            b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f\0\0\0\x10\x07\x10\x11\x11\x88\x88\xfe\x07\0";
        let svg = br#"<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="1" height='1px'></svg>"#;
        let images = [&gif[..], png, jpeg, webp, svg];
        let first = images.map(|image| (0..=image.len()).find(|end| is_pixel(&image[..*end])));
        assert_eq!(first, [12, 24, 29, 25, 80].map(Some));
        assert!(!is_pixel(b"GIF89a\x02\x00\x01\x00\x80\x00\x00"));
        assert!(!is_pixel(br#"<svg width="16" height="1"/>"#));
        assert!(!is_pixel(br#"<svg viewBox="0 0 1 1"/>"#));
        assert!(!is_pixel(b""));
    }
}
