//! `Via` (RFC 9110 section 7.6.3): adds this proxy, and detects requests that have passed it before.

use http::Version;
use http::header::{HeaderMap, HeaderValue, VIA};

/// The pseudonym of this proxy in `Via`, with the field values made from it.
#[derive(Debug, Clone)]
pub(crate) struct Via {
    pseudonym: String,
    /// By received protocol: HTTP/1.0, HTTP/1.1, HTTP/2.
    values: [HeaderValue; 3],
}

impl Default for Via {
    fn default() -> Self {
        let values = ["1.0 consentry", "1.1 consentry", "2.0 consentry"];
        Self { pseudonym: "consentry".to_owned(), values: values.map(HeaderValue::from_static) }
    }
}

impl Via {
    /// `None` if the pseudonym is not a token.
    pub(crate) fn new(pseudonym: &str) -> Option<Self> {
        let is_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if pseudonym.is_empty() || !pseudonym.bytes().all(is_token) {
            return None;
        }
        let value = |version| HeaderValue::try_from(format!("{version} {pseudonym}")).ok();
        let values = [value("1.0")?, value("1.1")?, value("2.0")?];
        Some(Self { pseudonym: pseudonym.to_owned(), values })
    }

    /// The value for a request received with this version.
    pub(super) fn value(&self, version: Version) -> &HeaderValue {
        let [http10, http11, http2] = &self.values;
        match version {
            Version::HTTP_10 => http10,
            Version::HTTP_2 => http2,
            _ => http11,
        }
    }

    /// Whether a message has passed a proxy of this pseudonym.
    pub(crate) fn is_in(&self, headers: &HeaderMap) -> bool {
        let members =
            headers.get_all(VIA).iter().flat_map(|value| value.as_bytes().split(|b| *b == b','));
        members.into_iter().any(|member| {
            let words = member.split(|byte| matches!(byte, b' ' | b'\t'));
            let received_by = words.filter(|word| !word.is_empty()).nth(1);
            received_by.is_some_and(|name| name.eq_ignore_ascii_case(self.pseudonym.as_bytes()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_pseudonym_is_found_in_every_form_of_via() {
        let via = Via::default();
        for (values, expected) in [
            (&["1.1 consentry"][..], true),
            (&["2.0 Consentry"], true),
            (&["HTTP/1.1 consentry (comment)"], true),
            (&["1.0 edge,1.1\tconsentry , 1.1 cdn"], true),
            (&["1.1 edge", "1.1  consentry"], true),
            (&["1.1 edge"], false),
            (&["1.1 consentry-2"], false),
            (&["1.1 consentry:80"], false),
            (&["1.1 edge (consentry)"], false),
            (&["consentry"], false),
            (&["", ", ,"], false),
            (&[], false),
        ] {
            let headers =
                values.iter().map(|value| (VIA, HeaderValue::from_static(value))).collect();
            assert_eq!(via.is_in(&headers), expected, "{values:?}");
        }
    }

    #[test]
    fn a_pseudonym_is_a_token() {
        assert!(Via::new("edge-1.example").is_some());
        for wrong in ["", "a b", "a,b", "a(b)", "a\n", "\u{fc}"] {
            assert!(Via::new(wrong).is_none(), "{wrong}");
        }
    }
}
