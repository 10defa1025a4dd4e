//! Same-origin check against cross-site request forgery.

use http::HeaderMap;
use http::header::{HeaderName, ORIGIN};

use crate::http::{Fields, is_named_origin};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Checks `Sec-Fetch-Site`, which pages cannot set (W3C Fetch Metadata section 2.3). In browsers
/// without it, the host of `Origin` (RFC 6454 section 7) must equal `Host`. Requests with neither
/// field are rejected.
pub(super) fn is_same_origin(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        return site == "same-origin";
    }
    headers.value(&ORIGIN).is_some_and(|origin| is_named_origin(origin, headers))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use http::header::HOST;

    #[test]
    fn only_pages_of_the_requested_host_are_same_origin() {
        for (site, origin, expected) in [
            (Some("same-origin"), Some("http://shop.example"), true),
            (Some("same-origin"), None, true),
            (Some("same-site"), Some("http://shop.example"), false),
            (Some("cross-site"), None, false),
            (Some("none"), None, false),
            (None, Some("http://shop.example"), true),
            (None, Some("https://SHOP.example"), true),
            (None, Some("https://shop.example:8443"), false),
            (None, Some("https://evil.example"), false),
            (None, Some("https://shop.example.evil.example"), false),
            (None, Some("null"), false),
            (None, None, false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("shop.example"));
            if let Some(site) = site {
                headers.insert(SEC_FETCH_SITE, HeaderValue::from_static(site));
            }
            if let Some(origin) = origin {
                headers.insert(ORIGIN, HeaderValue::from_static(origin));
            }
            assert_eq!(is_same_origin(&headers), expected, "{site:?} {origin:?}");
        }
    }
}
