//! Same-origin check against cross-site request forgery.

use http::HeaderMap;
use http::header::ORIGIN;

use crate::http::{Fields, SEC_FETCH_SITE, is_named_origin};

/// The page that sent a request, as far as the browser reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    /// A page of the requested host.
    SameOrigin,
    /// A page of another host, or no page.
    Other,
    /// The browser does not report the page.
    Unknown,
}

impl Sender {
    /// Checks `Sec-Fetch-Site`, which pages cannot set (W3C Fetch Metadata section 2.3). In browsers
    /// without it, the host of `Origin` (RFC 6454 section 7) must equal `Host`.
    ///
    /// Browsers send no `Sec-Fetch-Site` over plain HTTP, and `Origin: null` from a page with
    /// `Referrer-Policy: no-referrer`. A sandboxed frame of another site sends the same fields.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let same_origin = match (headers.get(SEC_FETCH_SITE), headers.value(&ORIGIN)) {
            (Some(site), _) => site == "same-origin",
            (None, None | Some(b"null")) => return Self::Unknown,
            (None, Some(origin)) => is_named_origin(origin, headers),
        };
        if same_origin { Self::SameOrigin } else { Self::Other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use http::header::HOST;

    #[test]
    fn only_pages_of_the_requested_host_are_same_origin() {
        use Sender::{Other, SameOrigin, Unknown};
        for (site, origin, expected) in [
            (Some("same-origin"), Some("http://shop.example"), SameOrigin),
            (Some("same-origin"), Some("null"), SameOrigin),
            (Some("same-origin"), None, SameOrigin),
            (Some("same-site"), Some("http://shop.example"), Other),
            (Some("cross-site"), Some("null"), Other),
            (Some("cross-site"), None, Other),
            (Some("none"), None, Other),
            (Some(""), None, Other),
            (None, Some("http://shop.example"), SameOrigin),
            (None, Some("https://SHOP.example"), SameOrigin),
            (None, Some("https://shop.example:8443"), Other),
            (None, Some("https://evil.example"), Other),
            (None, Some("https://shop.example.evil.example"), Other),
            (None, Some(""), Other),
            (None, Some("NULL"), Other),
            (None, Some("null"), Unknown),
            (None, None, Unknown),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("shop.example"));
            if let Some(site) = site {
                headers.insert(SEC_FETCH_SITE, HeaderValue::from_static(site));
            }
            if let Some(origin) = origin {
                headers.insert(ORIGIN, HeaderValue::from_static(origin));
            }
            assert_eq!(Sender::of(&headers), expected, "{site:?} {origin:?}");
        }
    }
}
