//! The head of a page: whether it is one that can be changed, and what the change means for caches.

use http::StatusCode;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED,
};

use super::codec::Coding;
use crate::filter::{has_directive, keep_private};

/// What is true of the page only as the origin sent it; digests by RFC 9530, RFC 3230, RFC 1864.
static OF_THE_ORIGINAL: [HeaderName; 6] = [
    CONTENT_LENGTH,
    ACCEPT_RANGES,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// The coding of a page that can be changed; `None` for everything else.
pub(super) fn coding(status: StatusCode, headers: &HeaderMap) -> Option<Coding> {
    let bodiless = status.is_informational()
        || status.is_redirection()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT);
    if bodiless || status == StatusCode::PARTIAL_CONTENT || headers.contains_key(CONTENT_RANGE) {
        return None;
    }
    let media_type = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let mut parts = media_type.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case("text/html") || !parts.all(is_ascii_compatible) {
        return None;
    }
    let attached = headers.get(CONTENT_DISPOSITION).is_some_and(|disposition| {
        let text = disposition.as_bytes();
        text.get(..10).is_some_and(|start| start.eq_ignore_ascii_case(b"attachment"))
    });
    let fixed = has_directive(headers, "no-transform");
    if attached || fixed {
        return None;
    }
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Some(Coding::Identity),
        (Some(coding), None) => Coding::named(coding.to_str().ok()?),
        _ => None,
    }
}

/// Whether a parameter of the media type leaves it an encoding in which ASCII is ASCII.
fn is_ascii_compatible(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return true };
    let value = value.trim().trim_matches('"').to_ascii_lowercase();
    let other = value.starts_with("utf-16")
        || value.starts_with("utf-32")
        || value.starts_with("iso-2022")
        || value.starts_with("utf-7")
        || value == "unicode";
    !name.trim().eq_ignore_ascii_case("charset") || !other
}

/// Says of a page that is being changed what is true of it now.
pub(super) fn change(headers: &mut HeaderMap, banner: bool) {
    let untrue =
        |name: &&HeaderName| OF_THE_ORIGINAL.contains(name) || (banner && **name == LAST_MODIFIED);
    let untrue: Vec<HeaderName> = headers.keys().filter(untrue).cloned().collect();
    for name in untrue {
        headers.remove(name);
    }
    if banner {
        // Gone with the next click: a copy that comes back with it would ask again.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store, private"));
        keep_private(headers);
    } else {
        revalidate(headers);
    }
    if let Some(tag) = headers.get(ETAG)
        && !tag.as_bytes().starts_with(b"W/")
        && let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat())
    {
        headers.insert(ETAG, weak);
    }
}

/// Lets the browser ask again before it shows a copy: the visitor's consent may have changed.
pub(super) fn revalidate(headers: &mut HeaderMap) {
    keep_private(headers);
    if has_directive(headers, "no-store") || has_directive(headers, "no-cache") {
        return;
    }
    headers.append(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        fields.iter().map(field).collect()
    }

    #[test]
    fn only_whole_html_pages_in_known_codings_are_changed() {
        let html = ("content-type", "text/html; charset=utf-8");
        let ok = StatusCode::OK;
        for (status, fields, expected) in [
            (ok, &[html][..], Some(Coding::Identity)),
            (StatusCode::NOT_FOUND, &[html], Some(Coding::Identity)),
            (ok, &[("content-type", "TEXT/HTML")], Some(Coding::Identity)),
            (ok, &[html, ("content-encoding", "x-gzip")], Some(Coding::Gzip)),
            (ok, &[html, ("content-encoding", "BR")], Some(Coding::Brotli)),
            (ok, &[html, ("content-encoding", "zstd")], Some(Coding::Zstd)),
            (ok, &[html, ("content-encoding", "identity")], Some(Coding::Identity)),
            (ok, &[html, ("content-encoding", "gzip, br")], None),
            (ok, &[html, ("content-encoding", "dcb")], None),
            (ok, &[html, ("content-disposition", "Attachment; filename=a.html")], None),
            (ok, &[html, ("content-disposition", "inline")], Some(Coding::Identity)),
            (ok, &[html, ("cache-control", "max-age=1, No-Transform")], None),
            (ok, &[html, ("content-range", "bytes 0-1/2")], None),
            (StatusCode::PARTIAL_CONTENT, &[html], None),
            (StatusCode::NOT_MODIFIED, &[html], None),
            (StatusCode::NO_CONTENT, &[html], None),
            (StatusCode::FOUND, &[html], None),
            (ok, &[("content-type", "text/html;charset=utf-16le")], None),
            (ok, &[("content-type", "text/html;charset=\"ISO-2022-JP\"")], None),
            (ok, &[("content-type", "text/html;charset=shift_jis")], Some(Coding::Identity)),
            (ok, &[("content-type", "application/json")], None),
            (ok, &[("content-type", "text/htmlx")], None),
            (ok, &[], None),
        ] {
            assert_eq!(coding(status, &headers(fields)), expected, "{status} {fields:?}");
        }
    }

    #[test]
    fn a_changed_head_is_true_of_the_changed_page() {
        let fields = [
            ("content-length", "9"),
            ("etag", "\"a\""),
            ("accept-ranges", "bytes"),
            ("content-digest", "sha-256=:AA==:"),
            ("cache-control", "public, max-age=600"),
            ("last-modified", "Wed, 21 Oct 2015 07:28:00 GMT"),
            ("x-other", "stays"),
        ];
        let mut banner = headers(&fields);
        change(&mut banner, true);
        assert_eq!(
            banner,
            headers(&[
                ("etag", "W/\"a\""),
                ("cache-control", "no-store, private"),
                ("x-other", "stays")
            ])
        );
        let mut guarded = headers(&fields);
        change(&mut guarded, false);
        let control: Vec<_> = guarded.get_all(CACHE_CONTROL).iter().collect();
        assert_eq!(control, ["max-age=600, private", "no-cache"]);
        let mut again = guarded.clone();
        change(&mut again, false);
        assert_eq!(again, guarded);
    }
}
