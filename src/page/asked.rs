//! What a request tells of the page that it asks for.

use std::sync::Arc;

use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, HeaderMap, HeaderName, HeaderValue,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, RANGE,
};
use http::{Method, Request};

use super::codec::{Budget, Permit};
use super::csp::{Allowed, Policies};
use super::insertion::Guard;
use crate::centre::{BannerFor, Centre};
use crate::consent::{CategorySet, Consent};
use crate::locale::Locale;

const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Fields of libraries that fetch a piece of a page.
const FRAGMENTS: [&str; 5] =
    ["hx-request", "x-requested-with", "x-pjax", "turbo-frame", "x-up-target"];

/// What a request tells of the page that it asks for.
#[derive(Debug)]
pub struct Asked {
    pub(super) method: Method,
    /// The language and the way back, where a banner is to be inserted.
    banner: Option<(Arc<Locale>, String)>,
    /// What the visitor granted, where the page is held against it.
    granted: Option<CategorySet>,
    host: String,
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
        (banner, guard): (bool, bool),
        consent: &Consent,
        centre: &Centre,
        budget: &Budget,
    ) -> Option<Self> {
        let method = request.method();
        if !matches!(*method, Method::GET | Method::POST) || !(banner || guard) {
            return None;
        }
        let headers = request.headers();
        let page = page_for(headers)?;
        let banner = banner && page == For::Window && method == Method::GET;
        if !banner && !guard {
            return None;
        }
        let accepted = headers.get(ACCEPT_LANGUAGE).and_then(|accepted| accepted.to_str().ok());
        let banner = banner.then(|| centre.locale(accepted)).flatten().map(|locale| {
            let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
            (Arc::clone(locale), path.to_owned())
        });
        let host = headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
        let host = host.unwrap_or_default().to_ascii_lowercase();
        let method = method.clone();
        let granted = guard.then_some(consent.granted);
        let permit = budget.take();
        let headers = request.headers_mut();
        if permit.is_none() {
            // As many coded pages as may are being changed: this one is to come uncoded.
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        if banner.is_some() || !granted.is_some_and(|granted| centre.grants_all(granted)) {
            // The browser's copy is another page than the one that this visitor is to get.
            headers.remove(IF_NONE_MATCH);
            headers.remove(IF_MODIFIED_SINCE);
            headers.remove(RANGE);
        }
        Some(Self { method, banner, granted, host, permit })
    }

    /// Whether the page is held against the visitor's consent.
    pub(super) fn guards(&self) -> bool {
        self.granted.is_some()
    }

    /// The banner for the page, where there is to be one.
    pub(super) fn banner(&self, centre: &Centre, policies: &Policies) -> Option<String> {
        let (locale, return_to) = self.banner.as_ref()?;
        let style = policies.style();
        let nonce = match &style {
            Allowed::WithNonce(nonce) => Some(nonce.as_str()),
            // Unstyled it is still a form at the top of the page.
            Allowed::Yes | Allowed::No => None,
        };
        centre.banner(BannerFor { locale, return_to, form: policies.form(), nonce })
    }

    /// The guard of the page, where there is to be one.
    pub(super) fn guard(&self, centre: &Centre, policies: &Policies) -> Option<Guard> {
        let granted = self.granted.filter(|granted| !centre.grants_all(*granted))?;
        let tag = match policies.script() {
            Allowed::Yes => centre.guard_tag(granted, None),
            Allowed::WithNonce(nonce) => centre.guard_tag(granted, Some(&nonce)),
            Allowed::No => None,
        };
        Some(Guard { tag, granted, host: self.host.clone(), filter: Arc::clone(centre.filter()) })
    }
}

/// What a request is for; `None` when it is for no page.
fn page_for(headers: &HeaderMap) -> Option<For> {
    if FRAGMENTS.iter().any(|name| headers.contains_key(HeaderName::from_static(name))) {
        return None;
    }
    match headers.get(SEC_FETCH_DEST).map(HeaderValue::as_bytes) {
        Some(b"document") => Some(For::Window),
        Some(b"iframe" | b"frame") => Some(For::Frame),
        Some(_) => None,
        // Of browsers without it.
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
    fn pages_are_told_from_fragments_and_from_what_pages_load() {
        for (fields, expected) in [
            (&[("sec-fetch-dest", "document")][..], Some(For::Window)),
            (&[("sec-fetch-dest", "iframe")], Some(For::Frame)),
            (&[("sec-fetch-dest", "empty"), ("accept", "text/html")], None),
            (&[("sec-fetch-dest", "image")], None),
            (&[("accept", "text/html,*/*;q=0.8")], Some(For::Window)),
            (&[("accept", "text/html"), ("hx-request", "true")], None),
            (&[("accept", "text/html"), ("x-requested-with", "XMLHttpRequest")], None),
            (&[("sec-fetch-dest", "document"), ("turbo-frame", "cart")], None),
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
