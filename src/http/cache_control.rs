//! `Cache-Control` (RFC 9111 section 5.2) and the fields that override it in some caches.
//!
//! A modified response is made private to the client, so that shared caches do not store it. Many
//! caches skip responses with `Set-Cookie`. After the last `Set-Cookie` is stripped, a personalised
//! page would look cacheable to nginx, Varnish or a CDN.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, HeaderName};

use super::field_list::split_outside_quotes;
use super::fields::{FieldSection, Fields};

/// Whether `Cache-Control` contains this directive without an argument.
pub(crate) fn has_directive(fields: &impl Fields, name: &str) -> bool {
    fields.values(&CACHE_CONTROL).any(|field| {
        let mut directives = split_outside_quotes(field);
        directives.any(|directive| directive.eq_ignore_ascii_case(name.as_bytes()))
    })
}

/// The value that prevents caching by the cache that reads this field. `None` for other fields.
///
/// Such fields target one cache or one kind of cache, and override `Cache-Control` there. RFC 9213
/// (targeted cache control) names end with `-Cache-Control`; the others are older.
fn uncacheable_value(name: &str) -> Option<&'static str> {
    match name {
        "surrogate-control" | "edge-control" => Some("no-store"),
        "x-accel-expires" => Some("0"),
        // LiteSpeed also caches `private` responses, once per visitor.
        "x-litespeed-cache-control" | "x-lsadc-cache-control" => Some("no-cache"),
        name if name.ends_with("-cache-control") => Some("no-store, private"),
        _ => None,
    }
}

/// Adds `private`, unless shared caches must not store the response anyway (RFC 9111 section
/// 5.2.2.7).
pub(crate) fn mark_private(fields: &mut FieldSection) {
    let mut changes = Vec::new();
    make_private(fields, |name, value| changes.push((name, value)));
    for (name, value) in changes {
        fields.insert(&name, value);
    }
}

/// Like [`mark_private`], for any carrier: calls `set` with each field to set.
pub(crate) fn make_private(fields: &impl Fields, mut set: impl FnMut(HeaderName, Bytes)) {
    for name in fields.names() {
        if let Some(value) = uncacheable_value(name)
            && let Ok(name) = HeaderName::from_bytes(name.as_bytes())
        {
            set(name, Bytes::from_static(value.as_bytes()));
        }
    }
    // Caches that implement `must-understand` ignore `no-store` next to it (RFC 9111 section
    // 5.2.2.3).
    let must_understand = has_directive(fields, "must-understand");
    let mut directives: Vec<&[u8]> = Vec::new();
    for field in fields.values(&CACHE_CONTROL) {
        for directive in split_outside_quotes(field) {
            let name =
                directive.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
            // `private="field"` restricts only that field. Shared caches may store the rest of the
            // response.
            let whole = !directive.contains(&b'=');
            let no_store = name.eq_ignore_ascii_case(b"no-store") && !must_understand;
            if whole && (no_store || name.eq_ignore_ascii_case(b"private")) {
                return;
            }
            let public =
                name.eq_ignore_ascii_case(b"public") || name.eq_ignore_ascii_case(b"s-maxage");
            if !public && !directive.is_empty() {
                directives.push(directive);
            }
        }
    }
    if directives.is_empty() {
        set(CACHE_CONTROL, Bytes::from_static(b"private"));
    } else {
        directives.push(b"private");
        set(CACHE_CONTROL, directives.join(&b", "[..]).into());
    }
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
            ("must-understand, no-store", "must-understand, no-store, private"),
            ("no-store, Must-Understand, public", "no-store, Must-Understand, private"),
            ("must-understand, private", "must-understand, private"),
            ("no-store=x", "no-store=x, private"),
        ];
        for (before, after) in cases {
            let lines = [("cache-control", before)];
            let sent = if before.is_empty() { &[][..] } else { &lines };
            let mut fields = FieldSection::from_lines(sent);
            mark_private(&mut fields);
            assert_eq!(fields.texts("cache-control"), [after], "{before}");
        }
    }

    #[test]
    fn targeted_cache_control_fields_are_overridden_too() {
        for (name, expected) in [
            ("cdn-cache-control", "no-store, private"),
            ("cloudflare-cdn-cache-control", "no-store, private"),
            ("vercel-cdn-cache-control", "no-store, private"),
            ("netlify-cdn-cache-control", "no-store, private"),
            ("akamai-cache-control", "no-store, private"),
            ("a-cache-of-tomorrow-cache-control", "no-store, private"),
            ("x-litespeed-cache-control", "no-cache"),
            ("x-lsadc-cache-control", "no-cache"),
            ("surrogate-control", "no-store"),
            ("edge-control", "no-store"),
            ("x-accel-expires", "0"),
            ("x-cache", "max-age=600"),
        ] {
            let lines = [(name, "max-age=600"), (name, "public"), ("cache-control", "private")];
            let mut fields = FieldSection::from_lines(&lines);
            mark_private(&mut fields);
            let expected =
                if name == "x-cache" { vec![expected, "public"] } else { vec![expected] };
            assert_eq!(fields.texts(name), expected, "{name}");
        }
    }
}
