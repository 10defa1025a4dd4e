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
    let Some(value) = headers.get(AUTHORIZATION) else { return false };
    let value = value.as_bytes();
    let end = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
    let (scheme, rest) = value.split_at_checked(end).unwrap_or((value, &[]));
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
        let accepts = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, text.parse().expect("a field value"));
            is_authorized(&token, &headers)
        };
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        assert!(accepts("Bearer 0123456789abcdef"));
        assert!(accepts("bearer  0123456789abcdef"));
        assert!(accepts(&basic("admin:0123456789abcdef")));
        assert!(accepts(&basic(":0123456789abcdef")));
        for wrong in
            ["Bearer", "Bearer ", "Bearer 0123456789abcdeF", "0123456789abcdef", "Basic !", ""]
        {
            assert!(!accepts(wrong), "{wrong}");
        }
        assert!(!accepts(&basic("0123456789abcdef")));
        assert!(!accepts(&basic("0123456789abcdef:")));
        assert!(!is_authorized(&token, &HeaderMap::new()));
    }
}
