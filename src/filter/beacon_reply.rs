//! Replies to beacons without consent. The reply has the type that the caller expects and is never
//! an error: callers retry errors and log them to the console.

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap,
    HeaderName, HeaderValue, ORIGIN, VARY,
};
use http::{Method, Response, StatusCode};

use crate::http::{Fields, SEC_FETCH_DEST};

/// A transparent 1x1 GIF.
pub(crate) const PIXEL: &[u8] =
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff\x21\xf9\x04\x01\
\x00\x00\x00\x00\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00\x3b";

/// The response type that the caller of a request expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExpectedType {
    Image,
    Script,
    Nothing,
}

impl ExpectedType {
    /// Derives the type from `Sec-Fetch-Dest`, else from `Accept`, else from the file extension of
    /// the path.
    pub(super) fn by(fields: &impl Fields, path: &str) -> Self {
        match fields.value(&SEC_FETCH_DEST) {
            Some(b"image") => return Self::Image,
            Some(b"script" | b"worker" | b"sharedworker" | b"serviceworker") => {
                return Self::Script;
            }
            Some(_) => return Self::Nothing,
            None => {}
        }
        let accept = fields.value(&ACCEPT).unwrap_or_default();
        if accept.starts_with(b"image/") {
            return Self::Image;
        }
        let any = accept.is_empty() || accept == b"*/*";
        let ending = path.rsplit_once('.').map(|(_, ending)| ending).unwrap_or_default();
        match ending {
            "gif" | "png" | "jpg" | "jpeg" | "webp" | "avif" | "bmp" | "ico" if any => Self::Image,
            "js" | "mjs" if any => Self::Script,
            _ => Self::Nothing,
        }
    }
}

/// Builds the reply to a beacon.
pub(super) fn to_beacon(
    method: &Method,
    request: &impl Fields,
    wanted: ExpectedType,
) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    let preflight = method == Method::OPTIONS && request.has(&ACCESS_CONTROL_REQUEST_METHOD);
    if wanted == ExpectedType::Image && !preflight {
        let fields = response.headers_mut();
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("image/gif"));
        fields.insert(CONTENT_LENGTH, HeaderValue::from(PIXEL.len()));
        if method != Method::HEAD {
            *response.body_mut() = Bytes::from_static(PIXEL);
        }
    } else {
        *response.status_mut() = StatusCode::NO_CONTENT;
        if wanted == ExpectedType::Script {
            // Browsers reject module scripts and workers without this type, whatever the body.
            let media_type = HeaderValue::from_static("text/javascript");
            response.headers_mut().insert(CONTENT_TYPE, media_type);
        }
    }
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(origin) = value(request, &ORIGIN) {
        allow_origin(response.headers_mut(), origin, request, preflight);
    }
    response
}

/// Adds CORS fields, so that the page's `fetch` reads the (empty) reply instead of logging a
/// console error.
fn allow_origin(
    answer: &mut HeaderMap,
    origin: HeaderValue,
    request: &impl Fields,
    preflight: bool,
) {
    answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    answer.insert(VARY, HeaderValue::from_static("Origin"));
    if !preflight {
        return;
    }
    for (asked, allowed) in [
        (ACCESS_CONTROL_REQUEST_METHOD, ACCESS_CONTROL_ALLOW_METHODS),
        (ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_ALLOW_HEADERS),
    ] {
        if let Some(value) = value(request, &asked) {
            answer.insert(allowed, value);
        }
    }
}

/// Copies the request fields that the reply depends on.
pub(super) fn needed_of(request: &impl Fields) -> HeaderMap {
    let names = [ORIGIN, ACCESS_CONTROL_REQUEST_METHOD, ACCESS_CONTROL_REQUEST_HEADERS];
    let fields = names.into_iter().filter_map(|name| Some((name.clone(), value(request, &name)?)));
    fields.collect()
}

/// A request field as an owned value.
fn value(request: &impl Fields, name: &HeaderName) -> Option<HeaderValue> {
    HeaderValue::from_bytes(request.value(name)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| {
                (http::HeaderName::from_static(name), HeaderValue::from_static(value))
            })
            .collect()
    }

    #[test]
    fn the_reply_has_the_type_that_the_caller_expects() {
        let cases: &[(&[(&'static str, &'static str)], &str, ExpectedType)] = &[
            (&[("sec-fetch-dest", "image")], "/collect", ExpectedType::Image),
            (&[("sec-fetch-dest", "empty")], "/pixel.gif", ExpectedType::Nothing),
            (&[("sec-fetch-dest", "script")], "/t", ExpectedType::Script),
            (&[("accept", "image/avif,image/webp,*/*")], "/collect", ExpectedType::Image),
            (&[("accept", "*/*")], "/pixel.gif", ExpectedType::Image),
            (&[], "/pixel.gif", ExpectedType::Image),
            (&[("accept", "text/html")], "/pixel.gif", ExpectedType::Nothing),
            (&[("accept", "*/*")], "/matomo.php", ExpectedType::Nothing),
        ];
        for (fields, path, wanted) in cases {
            assert_eq!(ExpectedType::by(&headers(fields), path), *wanted, "{fields:?} {path}");
        }
    }

    #[test]
    fn the_pixel_is_a_gif_of_one_by_one() {
        let size = imagesize::blob_size(PIXEL).expect("a valid image");
        assert_eq!((size.width, size.height), (1, 1));
        let head = to_beacon(&Method::HEAD, &headers(&[]), ExpectedType::Image);
        assert!(head.body().is_empty());
        assert_eq!(head.headers()["content-length"], PIXEL.len().to_string().as_str());
    }

    #[test]
    fn preflights_are_granted_to_avoid_console_errors() {
        let request = headers(&[
            ("origin", "https://shop.example"),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "content-type"),
        ]);
        let answer = to_beacon(&Method::OPTIONS, &request, ExpectedType::Nothing);
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        assert_eq!(answer.headers()["access-control-allow-origin"], "https://shop.example");
        assert_eq!(answer.headers()["access-control-allow-methods"], "POST");
        assert_eq!(answer.headers()["access-control-allow-headers"], "content-type");
        assert_eq!(answer.headers()["cache-control"], "no-store");
    }
}
