//! Response head of a page: whether the page can be rewritten, and the consequences for caches.

use http::StatusCode;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_RANGE, ETAG, HeaderName, LAST_MODIFIED, LOCATION, VARY,
};

use super::media_type::MediaType;
use super::transcoder::PageCoding;
use crate::http::{
    FieldSection, Fields, SEC_FETCH_DEST, has_directive, has_member, mark_private,
    split_outside_quotes, without_parameters,
};

/// Fields that are only valid for the original page. Digests by RFC 9530, RFC 3230 and RFC 1864.
static OF_THE_ORIGINAL: [HeaderName; 6] = [
    CONTENT_LENGTH,
    ACCEPT_RANGES,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// Suffix of the entity tags of unchanged pages, for visitors who allowed everything.
const MARK: &[u8] = b"-consentry\"";

/// The content coding of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResponseCoding {
    As(PageCoding),
    /// Unknown to browsers, which display the bytes undecoded.
    Unknown,
    /// Decodable by browsers, but not by this proxy.
    Undecodable,
}

/// The media type and coding of a response. `None` if it is not a document that can be rewritten.
/// `shown`: browsers display the response as a page, unless they save it.
pub(super) fn document(
    status: StatusCode,
    fields: &FieldSection,
    shown: bool,
) -> Option<(MediaType, ResponseCoding)> {
    // Browsers display a redirect without `Location`.
    let bodiless = status.is_informational()
        || status.is_redirection() && fields.has(&LOCATION)
        || matches!(
            status,
            StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
        );
    if bodiless || status == StatusCode::PARTIAL_CONTENT || fields.has(&CONTENT_RANGE) {
        return None;
    }
    let media_type = MediaType::of(fields)?;
    if shown && is_attached(fields) || has_directive(fields, "no-transform") {
        return None;
    }
    Some((media_type, coded(fields)))
}

/// Whether browsers save a response instead of displaying it. An invalid field is ignored (RFC 6266 section 4.2).
fn is_attached(fields: &FieldSection) -> bool {
    let mut lines = fields.values(&CONTENT_DISPOSITION);
    let (Some(field), None) = (lines.next(), lines.next()) else { return false };
    without_parameters(field).eq_ignore_ascii_case(b"attachment")
}

fn coded(fields: &FieldSection) -> ResponseCoding {
    let names = fields.values(&CONTENT_ENCODING).flat_map(split_outside_quotes);
    let names: Vec<String> =
        names.map(|name| String::from_utf8_lossy(name).to_ascii_lowercase()).collect();
    let undecodable = |name: &str| matches!(name, "deflate" | "dcb" | "dcz");
    let codings: Vec<&str> =
        names.iter().map(String::as_str).filter(|name| !matches!(*name, "" | "identity")).collect();
    if codings.iter().any(|name| PageCoding::named(name).is_none() && !undecodable(name)) {
        return ResponseCoding::Unknown;
    }
    match codings.as_slice() {
        [] => ResponseCoding::As(PageCoding::Identity),
        [one] => PageCoding::named(one).map_or(ResponseCoding::Undecodable, ResponseCoding::As),
        _ => ResponseCoding::Undecodable,
    }
}

/// Adjusts the head of a rewritten page.
pub(super) fn change(fields: &mut FieldSection, banner: bool) {
    fields.remove_where(|name, _| {
        OF_THE_ORIGINAL.iter().any(|known| known == name)
            || name == LAST_MODIFIED.as_str()
            || !banner && name == ETAG.as_str()
    });
    if !banner {
        // Removes the validator: after a change of consent, the browser's copy must not be
        // validated.
        revalidate(fields);
        return;
    }
    // The banner disappears with the next click. A cached copy would show it again.
    fields.insert(&CACHE_CONTROL, "no-store, private");
    mark_private(fields);
    if let Some(tag) = fields.value(&ETAG)
        && !tag.starts_with(b"W/")
    {
        let weak = [b"W/", tag].concat();
        fields.insert(&ETAG, weak);
    }
}

/// Marks the entity tag of an unchanged page, for a visitor who allowed everything.
pub(super) fn mark(fields: &mut FieldSection) {
    revalidate(fields);
    let marked = fields.value(&ETAG).and_then(|tag| {
        let start = tag.strip_suffix(b"\"").filter(|_| !is_marked(tag))?;
        Some([start, MARK].concat())
    });
    match marked {
        Some(marked) => fields.insert(&ETAG, marked),
        // A date cannot be marked.
        None if !fields.has(&ETAG) => drop(fields.remove(&LAST_MODIFIED)),
        None => {}
    }
}

/// Whether a request field contains a marked entity tag.
pub(super) fn is_marked(field: &[u8]) -> bool {
    memchr::memmem::find(field, MARK).is_some()
}

/// The field value with the origin's entity tags.
pub(super) fn without_mark(field: &[u8]) -> Vec<u8> {
    let mut own = Vec::new();
    let mut rest = field;
    while let Some(at) = memchr::memmem::find(rest, MARK) {
        let (before, from) = rest.split_at(at);
        own.extend_from_slice(before);
        own.push(b'"');
        rest = from.get(MARK.len()..).unwrap_or_default();
    }
    own.extend_from_slice(rest);
    own
}

/// Prevents reuse of a response for requests with another destination.
pub(super) fn vary_by_destination(fields: &mut FieldSection) {
    if !["*", SEC_FETCH_DEST.as_str()].iter().any(|name| has_member(fields, &VARY, name)) {
        fields.append(&VARY, "Sec-Fetch-Dest");
    }
}

/// Requires revalidation before a copy is displayed, because the consent may have changed.
pub(super) fn revalidate(fields: &mut FieldSection) {
    mark_private(fields);
    if has_directive(fields, "no-store") || has_directive(fields, "no-cache") {
        return;
    }
    fields.append(&CACHE_CONTROL, "no-cache");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> FieldSection {
        FieldSection::from_lines(fields)
    }

    #[test]
    fn only_whole_documents_are_changed() {
        let html = ("content-type", "text/html; charset=utf-8");
        let ok = StatusCode::OK;
        let identity = Some(ResponseCoding::As(PageCoding::Identity));
        for (status, fields, expected) in [
            (ok, &[html][..], identity),
            (StatusCode::NOT_FOUND, &[html], identity),
            (ok, &[("content-type", "TEXT/HTML")], identity),
            (ok, &[("content-type", "image/svg+xml")], identity),
            (
                ok,
                &[html, ("content-encoding", "x-gzip")],
                Some(ResponseCoding::As(PageCoding::Gzip)),
            ),
            (ok, &[html, ("content-encoding", "BR")], Some(ResponseCoding::As(PageCoding::Brotli))),
            (ok, &[html, ("content-encoding", "zstd")], Some(ResponseCoding::As(PageCoding::Zstd))),
            (ok, &[html, ("content-encoding", "identity")], identity),
            (
                ok,
                &[html, ("content-encoding", "identity, br")],
                Some(ResponseCoding::As(PageCoding::Brotli)),
            ),
            (ok, &[html, ("content-encoding", "gzip, br")], Some(ResponseCoding::Undecodable)),
            (ok, &[html, ("content-encoding", "deflate")], Some(ResponseCoding::Undecodable)),
            (ok, &[html, ("content-encoding", "dcb")], Some(ResponseCoding::Undecodable)),
            (ok, &[html, ("content-encoding", "utf-8")], Some(ResponseCoding::Unknown)),
            (ok, &[html, ("content-encoding", "gzip, x")], Some(ResponseCoding::Unknown)),
            (ok, &[html, ("content-disposition", "Attachment; filename=a.html")], None),
            (ok, &[html, ("content-disposition", "attachment, inline")], identity),
            (ok, &[html, ("content-disposition", "attachmentx")], identity),
            (ok, &[html, ("content-disposition", "inline")], identity),
            (ok, &[html, ("cache-control", "max-age=1, No-Transform")], None),
            (ok, &[html, ("content-range", "bytes 0-1/2")], None),
            (StatusCode::PARTIAL_CONTENT, &[html], None),
            (StatusCode::NOT_MODIFIED, &[html], None),
            (StatusCode::NO_CONTENT, &[html], None),
            (StatusCode::FOUND, &[html, ("location", "/")], None),
            (StatusCode::FOUND, &[html], identity),
            (ok, &[("content-type", "application/json")], None),
            (ok, &[("content-type", "text/htmlx")], None),
            (ok, &[], identity),
            (ok, &[("x-content-type-options", "nosniff")], None),
        ] {
            let found = document(status, &headers(fields), true).map(|(_, coded)| coded);
            assert_eq!(found, expected, "{status} {fields:?}");
        }
        let attached = headers(&[html, ("content-disposition", "attachment")]);
        assert!(document(ok, &attached, false).is_some(), "a script reads it all the same");
    }

    #[test]
    fn entity_tag_marks_round_trip() {
        for (tag, marked) in [
            ("\"a\"", "\"a-consentry\""),
            ("W/\"a\"", "W/\"a-consentry\""),
            ("\"\"", "\"-consentry\""),
        ] {
            let mut page = headers(&[("etag", tag)]);
            mark(&mut page);
            mark(&mut page);
            assert_eq!(page.texts("etag"), [marked]);
            assert!(is_marked(marked.as_bytes()));
            assert_eq!(without_mark(marked.as_bytes()), tag.as_bytes());
        }
        let list = b"\"a-consentry\", W/\"b-consentry\", \"c\"";
        assert_eq!(without_mark(list), b"\"a\", W/\"b\", \"c\"");
        let mut dated = headers(&[("last-modified", "Wed, 21 Oct 2015 07:28:00 GMT")]);
        mark(&mut dated);
        assert!(!dated.has(&LAST_MODIFIED));
    }

    #[test]
    fn vary_gets_the_destination_only_once() {
        for (before, after) in [
            (&[][..], &["Sec-Fetch-Dest"][..]),
            (&[("vary", "Cookie")], &["Cookie", "Sec-Fetch-Dest"]),
            (&[("vary", "cookie, SEC-FETCH-DEST")], &["cookie, SEC-FETCH-DEST"]),
            (&[("vary", "*")], &["*"]),
        ] {
            let mut page = headers(before);
            vary_by_destination(&mut page);
            assert_eq!(page.texts("vary"), after);
        }
    }

    #[test]
    fn a_changed_page_has_matching_headers() {
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
            banner.to_map(),
            headers(&[
                ("etag", "W/\"a\""),
                ("cache-control", "no-store, private"),
                ("x-other", "stays")
            ])
            .to_map()
        );
        let mut guarded = headers(&fields);
        change(&mut guarded, false);
        assert_eq!(guarded.texts("cache-control"), ["max-age=600, private", "no-cache"]);
        let mut again = guarded.clone();
        change(&mut again, false);
        assert_eq!(again.to_map(), guarded.to_map());
    }
}
