//! Authentication schemes that authenticate a connection instead of a request.
//!
//! After such a login the server treats every request on the connection as the user's. A proxy must
//! not use the connection for any other client (RFC 4559 section 6).

use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};

use super::fields::Fields;

/// The schemes of Windows Integrated Authentication and WinRM ([MS-NTHT], RFC 4559, [MS-N2HT],
/// [MS-WSMV]).
const SCHEMES: [&str; 5] = ["ntlm", "negotiate", "nego2", "kerberos", "credssp"];

/// Whether the head of a request or response starts or continues a connection login.
pub(crate) fn binds_connection(fields: &impl Fields) -> bool {
    names_scheme(fields.values(&AUTHORIZATION)) || names_scheme(fields.values(&WWW_AUTHENTICATE))
}

/// Whether any word is the name of such a scheme. A false match elsewhere in a challenge only
/// prevents connection reuse.
fn names_scheme<'a>(values: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut words =
        values.flat_map(|value| value.split(|byte| matches!(byte, b' ' | b'\t' | b',')));
    words.any(|word| SCHEMES.iter().any(|scheme| word.eq_ignore_ascii_case(scheme.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue};

    #[test]
    fn connection_authentication_schemes_are_found_among_others() {
        for (name, value, expected) in [
            (AUTHORIZATION, "NTLM TlRMTVNTUAAB", true),
            (AUTHORIZATION, "negotiate YII=", true),
            (AUTHORIZATION, "Nego2 abc", true),
            (AUTHORIZATION, "Basic bnRsbQ==", false),
            (AUTHORIZATION, "Bearer ntlm.token", false),
            (WWW_AUTHENTICATE, "NTLM", true),
            (WWW_AUTHENTICATE, "Negotiate, NTLM", true),
            (WWW_AUTHENTICATE, "Basic realm=\"a\",NTLM", true),
            (WWW_AUTHENTICATE, "Negotiate oRQwEg==", true),
            (WWW_AUTHENTICATE, "Basic realm=\"a\"", false),
        ] {
            let headers = HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
            assert_eq!(binds_connection(&headers), expected, "{value}");
        }
        assert!(!binds_connection(&HeaderMap::new()));
    }
}
