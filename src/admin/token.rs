//! Token authentication: a bearer token (RFC 6750 section 2.1), or the password of any user (RFC 7617), which
//! browsers can prompt for.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use subtle::ConstantTimeEq;

use crate::config::settings::AdminToken;

/// The accepted authentication schemes.
pub(super) const SCHEMES: &str = "Basic realm=\"consentry\", Bearer realm=\"consentry\"";

/// Whether the request has the token. The comparison time depends only on the length of the token.
pub(super) fn is_authorized(token: &AdminToken, headers: &HeaderMap) -> bool {
    let Some(shown) = headers.get(AUTHORIZATION) else { return false };
    let shown = shown.as_bytes();
    let place = shown.iter().position(|byte| *byte == b' ').unwrap_or(shown.len());
    let (scheme, rest) = shown.split_at_checked(place).unwrap_or((shown, &[]));
    let credentials = rest.trim_ascii();
    let is = |secret: &[u8]| bool::from(token.0.as_bytes().ct_eq(secret));
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return is(credentials);
    }
    let decoded = STANDARD.decode(credentials).unwrap_or_default();
    let colon = decoded.iter().position(|byte| *byte == b':');
    let password = colon.and_then(|colon| decoded.get(colon + 1..));
    scheme.eq_ignore_ascii_case(b"basic") && password.is_some_and(is)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_accepted_as_bearer_or_basic_password() {
        let token = AdminToken("0123456789abcdef".to_owned());
        let shown = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, text.parse().expect("a field value"));
            is_authorized(&token, &headers)
        };
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        assert!(shown("Bearer 0123456789abcdef"));
        assert!(shown("bearer  0123456789abcdef"));
        assert!(shown(&basic("admin:0123456789abcdef")));
        assert!(shown(&basic(":0123456789abcdef")));
        for wrong in
            ["Bearer", "Bearer ", "Bearer 0123456789abcdeF", "0123456789abcdef", "Basic !", ""]
        {
            assert!(!shown(wrong), "{wrong}");
        }
        assert!(!shown(&basic("0123456789abcdef")));
        assert!(!shown(&basic("0123456789abcdef:")));
        assert!(!is_authorized(&token, &HeaderMap::new()));
    }
}
