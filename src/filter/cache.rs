//! Keeps a changed response out of shared caches.
//!
//! A `Set-Cookie` makes many caches leave a response alone. Once the last one is stripped, a page
//! made for one visitor would look cacheable for all (nginx, Varnish, CDNs).

use http::header::{CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue};

/// Fields that tell one kind of shared cache more than `Cache-Control` does, and win over it.
const TARGETED: &[(&str, &str)] = &[
    ("cdn-cache-control", "private"),
    ("cloudflare-cdn-cache-control", "private"),
    ("vercel-cdn-cache-control", "private"),
    ("netlify-cdn-cache-control", "private"),
    ("surrogate-control", "no-store"),
    ("edge-control", "no-store"),
    ("x-accel-expires", "0"),
];

/// Adds `private` unless no shared cache may store the response anyway (RFC 9111 section 5.2.2.7).
pub(crate) fn keep_private(headers: &mut HeaderMap) {
    // Seldom there: one pass over the names rules all of them out.
    let found = |name: &HeaderName| {
        let name = name.as_str();
        TARGETED.iter().find(|(targeted, _)| name == *targeted)
    };
    let targeted: Vec<_> = headers.keys().filter_map(found).collect();
    for (name, value) in targeted {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let mut directives: Vec<&[u8]> = Vec::new();
    for field in headers.get_all(CACHE_CONTROL) {
        for directive in split_outside_quotes(field.as_bytes()) {
            let name =
                directive.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
            // `private="field"` leaves the rest of the response to shared caches.
            let whole = !directive.contains(&b'=');
            if name.eq_ignore_ascii_case(b"no-store")
                || (name.eq_ignore_ascii_case(b"private") && whole)
            {
                return;
            }
            let public =
                name.eq_ignore_ascii_case(b"public") || name.eq_ignore_ascii_case(b"s-maxage");
            if !public && !directive.is_empty() {
                directives.push(directive);
            }
        }
    }
    let value = if directives.is_empty() {
        Ok(HeaderValue::from_static("private"))
    } else {
        directives.push(b"private");
        HeaderValue::from_bytes(&directives.join(&b", "[..]))
    };
    if let Ok(value) = value {
        headers.insert(CACHE_CONTROL, value);
    }
}

/// Whether `Cache-Control` has a directive of this name, without an argument (RFC 9111 section 5.2).
pub(crate) fn has_directive(headers: &HeaderMap, name: &str) -> bool {
    headers.get_all(CACHE_CONTROL).iter().any(|field| {
        let mut directives = split_outside_quotes(field.as_bytes());
        directives.any(|directive| directive.eq_ignore_ascii_case(name.as_bytes()))
    })
}

/// Splits a list at commas that are not inside a quoted string (RFC 9110 section 5.6).
fn split_outside_quotes(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    let mut escaped = false;
    field
        .split(move |byte| {
            let separates = *byte == b',' && !quoted;
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                _ => {}
            }
            separates
        })
        .map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_is_added_unless_the_response_is_uncacheable() {
        let cases = [
            ("", "private"),
            ("max-age=60", "max-age=60, private"),
            ("public, max-age=60, s-maxage=600", "max-age=60, private"),
            ("no-cache", "no-cache, private"),
            ("private, max-age=60", "private, max-age=60"),
            ("No-Store", "No-Store"),
            (
                "private=\"set-cookie, x\", max-age=1",
                "private=\"set-cookie, x\", max-age=1, private",
            ),
            ("x=\"no-store, \\\" private\"", "x=\"no-store, \\\" private\", private"),
        ];
        for (before, after) in cases {
            let mut headers = HeaderMap::new();
            if !before.is_empty() {
                headers.insert(CACHE_CONTROL, HeaderValue::from_str(before).expect("valid"));
            }
            keep_private(&mut headers);
            assert_eq!(headers[CACHE_CONTROL], after, "{before}");
        }
    }

    #[test]
    fn fields_for_one_kind_of_cache_are_overruled_too() {
        let mut headers = HeaderMap::new();
        for (name, _) in TARGETED {
            headers.insert(*name, HeaderValue::from_static("max-age=600"));
        }
        keep_private(&mut headers);
        for (name, value) in TARGETED {
            assert_eq!(headers[*name], *value, "{name}");
        }
    }
}
