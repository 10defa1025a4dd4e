//! Filter for request trailers: removes fields that are only valid in the head. An origin that
//! merges trailers into the head would trust them (RFC 9110 section 6.5.1).

use http::header::{HeaderMap, HeaderName};

use super::edits::Edits;
use super::fields;
use super::site_filter::Filter;
use crate::http::{Fields, folds_to, is_forwarding};

/// Head fields that frame, route, authenticate or modify a request (RFC 9110 section 6.5.1).
const HEAD_ONLY: [&str; 24] = [
    "host",
    "cookie",
    "authorization",
    "proxy-authorization",
    "content-length",
    "content-type",
    "content-encoding",
    "content-range",
    "transfer-encoding",
    "te",
    "trailer",
    "connection",
    "proxy-connection",
    "keep-alive",
    "upgrade",
    "expect",
    "max-forwards",
    "range",
    "cache-control",
    "pragma",
    "origin",
    "referer",
    "user-agent",
    "via",
];

/// Name prefixes of such fields.
const PREFIXES: [&str; 5] = ["accept", "if-", "sec-", "x-http-method", "x-method-override"];

impl Filter {
    /// Removes head-only fields from the trailers of a request, in every mode: cookies, forwarding
    /// fields, `forward_header`, tracking fields, and fields that frame or route the request.
    pub fn strip_request_trailers(&self, trailers: &mut HeaderMap) {
        self.request_trailers(trailers).apply(trailers);
    }

    /// The edits of [`Self::strip_request_trailers`].
    pub(crate) fn request_trailers(&self, trailers: &impl Fields) -> Edits {
        let ours = self.settings.forward_header.as_ref();
        let is_ours = |name: &str| ours.is_some_and(|ours| folds_to(name, ours.as_str()));
        let mut edits = Edits::default();
        for name in trailers.names() {
            if (is_ours(name) || is_of_heads(&name.replace('_', "-")))
                && let Ok(name) = HeaderName::from_bytes(name.as_bytes())
            {
                edits.remove(name);
            }
        }
        edits
    }
}

/// Whether a field of this name is only valid in the head. `name` has `-` in place of `_`.
fn is_of_heads(name: &str) -> bool {
    HEAD_ONLY.contains(&name)
        || PREFIXES.iter().any(|start| name.starts_with(start))
        || is_forwarding(name)
        || fields::in_request(name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Overrides};
    use http::HeaderValue;

    #[test]
    fn trailers_keep_only_fields_that_are_allowed_in_trailers() {
        for mode in ["enforce", "observe"] {
            let toml = format!(
                "mode = '{mode}'\n[consent]\nforward_header = 'X-Consent'\n\
                 [[site]]\nupstream = 'http://127.0.0.1:1'"
            );
            let config = config::parse(&toml, None, &Overrides::default()).expect("a valid config");
            let filter = Filter::new(config.sites[0].filter.clone());
            let mut trailers = HeaderMap::new();
            for name in [
                "x-checksum",
                "content-digest",
                "grpc-status",
                "etag",
                "cookie",
                "cookie2",
                "x-consent",
                "x_consent",
                "x-forwarded-for",
                "x_forwarded_proto",
                "forwarded",
                "x-real-ip",
                "true-client-ip",
                "host",
                "authorization",
                "content-length",
                "if-none-match",
                "sec-gpc",
                "available-dictionary",
                "x-uidh",
            ] {
                trailers.insert(name, HeaderValue::from_static("1"));
            }
            filter.strip_request_trailers(&mut trailers);
            let mut left: Vec<_> = trailers.keys().map(HeaderName::as_str).collect();
            left.sort_unstable();
            assert_eq!(left, ["content-digest", "etag", "grpc-status", "x-checksum"], "{mode}");
        }
    }
}
