//! User activation: whether the visitor or a page script started a request.

use http::HeaderMap;
use http::header::{HeaderName, USER_AGENT};

use crate::http::{SEC_FETCH_DEST, SEC_FETCH_MODE};

const SEC_FETCH_USER: HeaderName = HeaderName::from_static("sec-fetch-user");

/// `User-Agent` tokens of browsers that send `Sec-Fetch-User`. WebKit sends only the other Fetch
/// Metadata fields.
const REPORTING: [&[u8]; 2] = [b"Chrome/", b"Firefox/"];

/// Whether the visitor started the request, as far as the browser reports it (W3C Fetch Metadata
/// section 2.4).
///
/// Browsers send `Sec-Fetch-User` with navigations that a click or a key press started. All other
/// requests come from scripts. Some requests carry no such information and are accepted: requests
/// over plain HTTP, from old browsers and from WebKit, and navigations forwarded by a service
/// worker (with the destination `empty`).
pub(super) fn is_activated(headers: &HeaderMap) -> bool {
    let Some(mode) = headers.get(SEC_FETCH_MODE) else { return true };
    let is = |name: &HeaderName, value| headers.get(name).is_some_and(|sent| sent == value);
    let agent = headers.get(USER_AGENT).map_or(&b""[..], |agent| agent.as_bytes());
    let reports = REPORTING.iter().any(|word| memchr::memmem::find(agent, word).is_some());
    mode == "navigate" && (is(&SEC_FETCH_USER, "?1") || is(&SEC_FETCH_DEST, "empty") || !reports)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_request_counts_as_user_activated_unless_the_browser_reports_a_script() {
        let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36";
        let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0";
        let safari = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15";
        for (agent, mode, user, expected) in [
            (chrome, Some("navigate to empty"), None, true),
            (chrome, Some("cors to empty"), None, false),
            (chrome, Some("navigate to document"), None, false),
            (chrome, Some("navigate to iframe"), Some("?1"), true),
            (chrome, Some("navigate"), Some("?1"), true),
            (chrome, Some("navigate"), None, false),
            (chrome, Some("navigate"), Some("?0"), false),
            (chrome, Some("cors"), None, false),
            (chrome, Some("same-origin"), None, false),
            (chrome, Some("no-cors"), Some("?1"), false),
            (chrome, None, None, true),
            (firefox, Some("navigate"), Some("?1"), true),
            (firefox, Some("navigate"), None, false),
            (safari, Some("navigate"), None, true),
            (safari, Some("cors"), None, false),
            ("", Some("navigate"), None, true),
            ("", Some("cors"), None, false),
            ("", None, None, true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(USER_AGENT, HeaderValue::from_static(agent));
            if let Some(mode) = mode {
                let (mode, destination) = mode.split_once(" to ").unwrap_or((mode, "document"));
                headers.insert(SEC_FETCH_MODE, HeaderValue::from_static(mode));
                headers.insert(SEC_FETCH_DEST, HeaderValue::from_static(destination));
            }
            if let Some(user) = user {
                headers.insert(SEC_FETCH_USER, HeaderValue::from_static(user));
            }
            assert_eq!(is_activated(&headers), expected, "{agent} {mode:?} {user:?}");
        }
    }
}
