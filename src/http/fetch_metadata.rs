//! The kind of a request, by Fetch Metadata (W3C Fetch Metadata Request Headers). Old browsers do not
//! send these fields, and no browser sends them over plain HTTP. There, `Accept` decides.

use std::sync::LazyLock;

use http::header::{ACCEPT, HeaderName};
use memchr::memmem::Finder;

use super::fields::Fields;

pub(crate) const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
pub(crate) const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
pub(crate) const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const UPGRADE_INSECURE_REQUESTS: HeaderName = HeaderName::from_static("upgrade-insecure-requests");
const TURBO_FRAME: HeaderName = HeaderName::from_static("turbo-frame");

/// Fields of libraries that fetch fragments of pages.
static FRAGMENTS: [HeaderName; 5] = [
    HeaderName::from_static("hx-request"),
    HeaderName::from_static("x-requested-with"),
    HeaderName::from_static("x-pjax"),
    TURBO_FRAME,
    HeaderName::from_static("x-up-target"),
];

/// Fields of libraries that fetch a whole page and insert its body into the current page.
static SWAPS: [HeaderName; 2] =
    [HeaderName::from_static("hx-boosted"), HeaderName::from_static("x-turbo-request-id")];

static HTML: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"text/html"));

/// What the browser does with the response (Fetch section 2.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Destination {
    /// Displays it as a top-level page.
    Window,
    /// Displays it as a page in another page.
    Frame,
    /// Passes it to a script, or prefetches it. It may become part of a page, or a page from the
    /// browser's cache.
    Script,
    /// Uses it as a subresource, such as an image.
    Part,
}

impl Destination {
    /// The destination of a request.
    pub(crate) fn of(fields: &impl Fields) -> Self {
        let Some(name) = fields.value(&SEC_FETCH_DEST) else {
            let html = fields.value(&ACCEPT).is_some_and(|accept| HTML.find(accept).is_some());
            let mode = || fields.value(&SEC_FETCH_MODE).is_none_or(|mode| mode == b"navigate");
            let fragment = || FRAGMENTS.iter().any(|name| fields.has(name));
            return if html && mode() && !fragment() { Self::Window } else { Self::Script };
        };
        match Self::named(name) {
            // A page that a service worker fetches in order to display it: only this field of the
            // original request remains.
            Self::Script if fields.has(&UPGRADE_INSECURE_REQUESTS) => Self::Window,
            destination => destination,
        }
    }

    /// The destination of a value of `Sec-Fetch-Dest`.
    pub(crate) fn named(name: &[u8]) -> Self {
        match name {
            b"document" => Self::Window,
            b"iframe" | b"frame" | b"object" | b"embed" | b"fencedframe" => Self::Frame,
            b"empty" | b"" => Self::Script,
            _ => Self::Part,
        }
    }

    /// Whether browsers display the response as a page.
    pub(crate) fn is_page(self) -> bool {
        matches!(self, Self::Window | Self::Frame)
    }
}

/// Whether a request is a page load by the visitor. Scripts cannot send the mode `navigate`, so that
/// no request of a script counts, also not one whose destination is a page.
pub(crate) fn is_navigation(fields: &impl Fields) -> bool {
    match fields.value(&SEC_FETCH_MODE) {
        Some(mode) => mode == b"navigate",
        None => Destination::of(fields).is_page(),
    }
}

/// Whether a script inserts the body of the requested page into the current page.
pub(crate) fn is_swapped_in(fields: &impl Fields) -> bool {
    SWAPS.iter().any(|name| fields.has(name)) && !fields.has(&TURBO_FRAME)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::FieldSection;

    #[test]
    fn navigations_are_distinguished_from_script_fetches_and_subresources() {
        let (dest, mode) = ("sec-fetch-dest", "sec-fetch-mode");
        let upgrade = ("upgrade-insecure-requests", "1");
        let html = ("accept", "text/html,*/*;q=0.8");
        for (fields, expected, navigates) in [
            (&[(dest, "document"), (mode, "navigate")][..], Destination::Window, true),
            (&[(dest, "iframe"), (mode, "navigate")], Destination::Frame, true),
            (&[(dest, "image"), (mode, "no-cors"), html], Destination::Part, false),
            (&[(dest, "document")], Destination::Window, true),
            (&[(dest, "iframe")], Destination::Frame, true),
            (&[(dest, "object")], Destination::Frame, true),
            (&[(dest, "embed")], Destination::Frame, true),
            (&[(dest, "empty"), html], Destination::Script, false),
            (&[(dest, "empty"), (mode, "navigate")], Destination::Script, true),
            (&[(dest, "empty"), (mode, "same-origin"), upgrade], Destination::Window, false),
            (&[(dest, "image"), html], Destination::Part, false),
            (&[html], Destination::Window, true),
            (&[html, ("hx-request", "true")], Destination::Script, false),
            (&[html, ("x-requested-with", "XMLHttpRequest")], Destination::Script, false),
            (&[html, ("turbo-frame", "cart")], Destination::Script, false),
            (&[html, (mode, "cors")], Destination::Script, false),
            (&[("accept", "*/*")], Destination::Script, false),
            (&[], Destination::Script, false),
        ] {
            let section = FieldSection::from_lines(fields);
            assert_eq!(Destination::of(&section), expected, "{fields:?}");
            assert_eq!(is_navigation(&section), navigates, "{fields:?}");
        }
    }
}
