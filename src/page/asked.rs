//! What a request tells of the page that it asks for.

use std::sync::Arc;

use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, HOST, HeaderMap, HeaderName, HeaderValue,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, RANGE,
};
use http::uri::PathAndQuery;
use http::{Method, Request};

use super::codec::{Budget, Coding, Permit};
use super::csp::{Allowed, Policies};
use super::insertion::Guard;
use crate::centre::{BannerFor, Centre};
use crate::consent::Consent;
use crate::filter::without_port;

const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
/// What lets a browser do with the copy, or the part, that it has.
static CONDITIONS: [HeaderName; 3] = [IF_NONE_MATCH, IF_MODIFIED_SINCE, RANGE];
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Fields of libraries that fetch a piece of a page. Browsers with Fetch Metadata say so themselves.
static FRAGMENTS: [HeaderName; 5] = [
    HeaderName::from_static("hx-request"),
    HeaderName::from_static("x-requested-with"),
    HeaderName::from_static("x-pjax"),
    HeaderName::from_static("turbo-frame"),
    HeaderName::from_static("x-up-target"),
];

/// What a request tells of the page that it asks for.
#[derive(Debug)]
pub struct Asked {
    /// A banner may be inserted: the page is one of its own.
    window: bool,
    /// Whether the page is held against the visitor's consent.
    pub(super) guards: bool,
    accept_language: Option<HeaderValue>,
    path: Option<PathAndQuery>,
    host: Option<HeaderValue>,
    pub(super) permit: Option<Permit>,
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum For {
    /// A page in a window of its own.
    Window,
    /// A page in another page.
    Frame,
}

impl Asked {
    /// `None` when the answer is no page, or nothing is to be changed in it.
    pub(super) fn of<B>(
        request: &mut Request<B>,
        (banner, guards): (bool, bool),
        budget: &Budget,
        consent: impl FnOnce(&HeaderMap) -> Consent,
        grants_all: impl FnOnce(&Consent) -> bool,
    ) -> Option<Self> {
        let method = request.method();
        if !matches!(*method, Method::GET | Method::POST) {
            return None;
        }
        let headers = request.headers();
        let page = page_for(headers)?;
        let window = banner && page == For::Window && method == Method::GET;
        if !window && !guards {
            return None;
        }
        let asked = Self {
            window,
            guards,
            accept_language: headers.get(ACCEPT_LANGUAGE).cloned(),
            path: request.uri().path_and_query().cloned(),
            host: headers.get(HOST).cloned(),
            permit: budget.take(),
        };
        let conditional = CONDITIONS.iter().any(|name| headers.contains_key(name));
        let copy = conditional.then(|| consent(headers));
        let headers = request.headers_mut();
        if asked.permit.is_none() {
            // As many coded pages as may are being changed: this one is to come uncoded.
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        } else if let Some(known) = headers.get(ACCEPT_ENCODING).and_then(known_codings) {
            headers.insert(ACCEPT_ENCODING, known);
        }
        if let Some(consent) = copy
            && ((window && !consent.is_decided()) || (guards && !grants_all(&consent)))
        {
            // The browser's copy is another page than the one that this visitor is to get.
            for name in &CONDITIONS {
                headers.remove(name);
            }
        }
        Some(asked)
    }

    /// The banner for the page, where there is to be one. A compressed page gets nothing of the visitor's URL.
    pub(super) fn banner(
        &self,
        consent: &Consent,
        centre: &Centre,
        policies: &Policies,
        coding: Coding,
    ) -> Option<String> {
        if !self.window || consent.is_decided() {
            return None;
        }
        let accepted = self.accept_language.as_ref().and_then(|accepted| accepted.to_str().ok());
        let style = policies.style();
        let nonce = match &style {
            Allowed::WithNonce(nonce) => Some(nonce.as_str()),
            // Unstyled it is still a form at the top of the page.
            Allowed::Yes | Allowed::No => None,
        };
        let locale = centre.locale(accepted)?;
        let path = self.path.as_ref().filter(|_| coding == Coding::Identity);
        let return_to = path.map(PathAndQuery::as_str);
        let granted = consent.granted;
        centre.banner(BannerFor { locale, granted, return_to, form: policies.form(), nonce })
    }

    /// The guard of the page, where there is to be one.
    pub(super) fn guard(
        &self,
        consent: &Consent,
        centre: &Centre,
        policies: &Policies,
    ) -> Option<Guard> {
        let granted = consent.granted;
        if !self.guards || centre.grants_all(granted) {
            return None;
        }
        let tag = match policies.script() {
            Allowed::Yes => centre.guard_tag(granted, None),
            Allowed::WithNonce(nonce) => centre.guard_tag(granted, Some(&nonce)),
            Allowed::No => None,
        };
        let host = self.host.as_ref().and_then(|host| host.to_str().ok()).map(without_port);
        let host = host.unwrap_or_default().to_ascii_lowercase();
        Some(Guard { tag, granted, host, filter: Arc::clone(centre.filter()) })
    }
}

/// What is accepted, without codings that we could not undo; `None` when there are no others.
fn known_codings(accepted: &HeaderValue) -> Option<HeaderValue> {
    // What browsers send.
    if accepted.as_bytes() == b"gzip, deflate, br, zstd" {
        return Some(HeaderValue::from_static("gzip, br, zstd"));
    }
    let is_known = |part: &&[u8]| {
        let name = part.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        std::str::from_utf8(name).is_ok_and(|name| Coding::named(name).is_some())
    };
    let parts = || accepted.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    if parts().all(|part| is_known(&part)) {
        return None;
    }
    let known: Vec<&[u8]> = parts().filter(is_known).collect();
    let known = if known.is_empty() { b"identity".to_vec() } else { known.join(&b", "[..]) };
    HeaderValue::from_bytes(&known).ok()
}

/// What a request is for; `None` when it is for no page.
fn page_for(headers: &HeaderMap) -> Option<For> {
    match headers.get(SEC_FETCH_DEST).map(HeaderValue::as_bytes) {
        Some(b"document") => Some(For::Window),
        Some(b"iframe" | b"frame") => Some(For::Frame),
        Some(_) => None,
        // Of browsers without it.
        None if FRAGMENTS.iter().any(|name| headers.contains_key(name)) => None,
        None => {
            let accept = headers.get(ACCEPT).map(HeaderValue::as_bytes).unwrap_or_default();
            let html = memchr::memmem::find(accept, b"text/html").is_some();
            let mode = headers.get(SEC_FETCH_MODE).is_none_or(|mode| mode == "navigate");
            (html && mode).then_some(For::Window)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_codings_that_can_be_undone_are_asked_for() {
        for (accepted, asked) in [
            ("gzip, deflate, br, zstd", Some("gzip, br, zstd")),
            ("gzip, deflate, br, zstd, dcb, dcz", Some("gzip, br, zstd")),
            ("gzip;q=1.0, *;q=0.5", Some("gzip;q=1.0")),
            ("deflate", Some("identity")),
            ("br;q=0.5,GZIP", None),
            ("identity", None),
        ] {
            let found = known_codings(&HeaderValue::from_static(accepted));
            assert_eq!(found, asked.map(HeaderValue::from_static), "{accepted}");
        }
    }

    #[test]
    fn pages_are_told_from_fragments_and_from_what_pages_load() {
        for (fields, expected) in [
            (&[("sec-fetch-dest", "document")][..], Some(For::Window)),
            (&[("sec-fetch-dest", "iframe")], Some(For::Frame)),
            (&[("sec-fetch-dest", "empty"), ("accept", "text/html")], None),
            (&[("sec-fetch-dest", "image")], None),
            (&[("accept", "text/html,*/*;q=0.8")], Some(For::Window)),
            (&[("accept", "text/html"), ("hx-request", "true")], None),
            (&[("accept", "text/html"), ("x-requested-with", "XMLHttpRequest")], None),
            (&[("accept", "text/html"), ("turbo-frame", "cart")], None),
            (&[("accept", "text/html"), ("sec-fetch-mode", "cors")], None),
            (&[("accept", "*/*")], None),
            (&[], None),
        ] {
            let field = |(name, value): &(&'static str, &'static str)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            };
            let headers: HeaderMap = fields.iter().map(field).collect();
            assert_eq!(page_for(&headers), expected, "{fields:?}");
        }
    }
}
