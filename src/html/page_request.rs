//! Facts about a request for a page.

use std::sync::Arc;

use http::Method;
use http::header::{
    ACCEPT_ENCODING, ACCEPT_LANGUAGE, HOST, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_RANGE, RANGE,
};
use http::uri::PathAndQuery;

use super::csp::{InsertionPolicy, Policies};
use super::document::Banner;
use super::response_headers;
use super::transcoder::{PageCoding, Permit, RewriteLimit};
use super::url_policy::UrlPolicy;
use crate::consent::{CategorySet, Consent, Signals};
use crate::consent_ui::{BannerContext, BannerStyle, ConsentUi};
use crate::http::{
    Destination, FieldSection, Fields, Request, has_directive, is_swapped_in, members_of,
    without_parameters,
};

/// Fields that ask for validation or for a part, instead of the whole page.
static CONDITIONS: [HeaderName; 3] = [IF_NONE_MATCH, IF_MODIFIED_SINCE, RANGE];

/// Fields with entity tags.
static TAGS: [HeaderName; 3] = [IF_NONE_MATCH, IF_MATCH, IF_RANGE];

/// Facts about a request for a page.
#[derive(Debug)]
pub(crate) struct PageRequest {
    pub(super) destination: Destination,
    /// The site has a banner, and the method is GET.
    has_banner: bool,
    /// The banner may be inserted: the response is a top-level page, or the body of one.
    window: bool,
    /// Whether the page is restricted to the visitor's consent.
    pub(super) guards: bool,
    /// Whether the request revalidates a copy of an unchanged page.
    pub(super) had_mark: bool,
    accept_language: Option<Box<str>>,
    signals: Signals,
    path: Option<PathAndQuery>,
    host: Option<Box<str>>,
    /// The visitor uses HTTPS.
    secure: bool,
    pub(super) permit: Option<Permit>,
}

impl PageRequest {
    /// `None` if the response cannot be a page or needs no changes.
    pub(super) fn of<B>(
        request: &mut Request<B>,
        (banner, guards): (bool, bool),
        secure: bool,
        budget: &RewriteLimit,
        consent: impl FnOnce(&FieldSection) -> Consent,
        grants_all: impl FnOnce(&Consent) -> bool,
    ) -> Option<Self> {
        let Request { method, uri, fields, .. } = request;
        if matches!(*method, Method::HEAD | Method::OPTIONS | Method::CONNECT | Method::TRACE) {
            return None;
        }
        // RFC 9111 section 5.2.1.6.
        if has_directive(fields, "no-transform") {
            return None;
        }
        let destination = Destination::of(fields);
        let banner = banner && *method == Method::GET;
        let window = banner && (destination == Destination::Window || is_swapped_in(fields));
        if !banner && !guards {
            return None;
        }
        let mut page_request = Self {
            destination,
            has_banner: banner,
            window,
            guards,
            had_mark: false,
            accept_language: text(fields, &ACCEPT_LANGUAGE),
            signals: Signals::of(&*fields),
            path: uri.path_and_query().cloned(),
            host: text(fields, &HOST),
            secure,
            permit: (window || guards && destination.is_page()).then(|| budget.take()).flatten(),
        };
        if window || guards {
            let conditional = CONDITIONS.iter().chain(&TAGS).any(|name| fields.has(name));
            let copy = conditional.then(|| consent(fields));
            let exhausted = page_request.permit.is_none()
                && (destination.is_page()
                    || destination == Destination::Script && budget.is_empty());
            accept_known_codings(fields, exhausted);
            if let Some(consent) = copy {
                let all = grants_all(&consent);
                let banner = window && !consent.is_decided();
                page_request.conditions(fields, guards && !all, banner);
            }
        }
        Some(page_request)
    }

    /// Prevents a 304 for a copy that differs from the page for this visitor.
    fn conditions(&mut self, fields: &mut FieldSection, guarded: bool, banner: bool) {
        let marked =
            |name: &&HeaderName| fields.value(name).is_some_and(response_headers::is_marked);
        let marked: Vec<&HeaderName> = TAGS.iter().filter(marked).collect();
        for name in &marked {
            let own = fields.value(name).map(response_headers::without_mark);
            match own.filter(|_| !guarded || **name == IF_MATCH) {
                Some(own) => fields.insert(name, own),
                None => drop(fields.remove(name)),
            }
        }
        self.had_mark = fields.has(&IF_NONE_MATCH) && marked.contains(&&IF_NONE_MATCH);
        if self.destination.is_page() && (guarded || banner) {
            fields.remove_where(|name, _| CONDITIONS.iter().any(|known| known == name));
        } else if guarded {
            // The date may be that of a page: nothing indicates whether it is.
            fields.remove(&IF_MODIFIED_SINCE);
        }
    }

    /// Whether only the destination keeps the banner out of the response.
    pub(super) fn lacks_banner(&self, consent: &Consent) -> bool {
        self.has_banner && !self.window && !consent.is_decided()
    }

    /// The banner for the page, if one is needed. A compressed page gets no part of the request
    /// URL.
    pub(super) fn banner(
        &self,
        consent: &Consent,
        centre: &ConsentUi,
        policies: &Policies,
        coding: PageCoding,
    ) -> Option<Banner> {
        if !self.window || consent.is_decided() {
            return None;
        }
        let locale = centre.locale(self.accept_language.as_deref())?;
        let path = self.path.as_ref().filter(|_| coding == PageCoding::Identity);
        let return_to = path.map(PathAndQuery::as_str);
        let granted = consent.granted;
        let (form, style) = (policies.form(), policies.banner_style());
        let signals = self.signals;
        let of = BannerContext { locale, granted, signals, return_to, form, style };
        let linked = BannerContext { style: BannerStyle::Linked, ..of };
        Some(Banner {
            markup: centre.banner(of)?.into(),
            linked: (style != BannerStyle::Linked).then(|| centre.banner(linked)).flatten(),
        })
    }

    /// The guard's script tag, if the page's policy permits it.
    pub(super) fn guard(
        &self,
        granted: CategorySet,
        centre: &ConsentUi,
        policies: &Policies,
    ) -> Option<String> {
        if !self.destination.is_page() {
            return None;
        }
        match policies.script() {
            InsertionPolicy::Yes => centre.guard_tag(granted, None),
            InsertionPolicy::WithNonce(nonce) => centre.guard_tag(granted, Some(&nonce)),
            InsertionPolicy::No => None,
        }
    }

    /// The URL policy for this page and consent.
    pub(super) fn policy(&self, granted: CategorySet, centre: &ConsentUi) -> UrlPolicy {
        let host = self.host.as_deref().unwrap_or_default();
        let filter = Arc::clone(centre.filter());
        let scheme = if self.secure { "https" } else { "http" };
        UrlPolicy::new(filter, granted, (scheme, host.to_owned()), self.path().to_owned())
    }

    fn path(&self) -> &str {
        self.path.as_ref().map_or("/", PathAndQuery::as_str)
    }
}

/// Restricts the accepted codings to those that this proxy can decode. With `exhausted` (no
/// decoding budget left), only `identity` remains.
fn accept_known_codings(fields: &mut FieldSection, exhausted: bool) {
    if exhausted {
        fields.insert(&ACCEPT_ENCODING, "identity");
    } else if let Some(known) = fields.value(&ACCEPT_ENCODING).and_then(known_codings) {
        fields.insert(&ACCEPT_ENCODING, known);
    }
}

/// The accepted codings without those that this proxy cannot decode. `None` if all of them are
/// supported.
fn known_codings(accepted: &[u8]) -> Option<Vec<u8>> {
    // Fast path: the value that browsers send.
    if accepted == b"gzip, deflate, br, zstd" {
        return Some(b"gzip, br, zstd".to_vec());
    }
    let is_known = |part: &&[u8]| {
        std::str::from_utf8(without_parameters(part))
            .is_ok_and(|name| PageCoding::named(name).is_some())
    };
    if members_of(accepted).all(|part| is_known(&part)) {
        return None;
    }
    let known: Vec<&[u8]> = members_of(accepted).filter(is_known).collect();
    Some(if known.is_empty() { b"identity".to_vec() } else { known.join(&b", "[..]) })
}

/// The value of a field, if it is UTF-8.
fn text(fields: &FieldSection, name: &HeaderName) -> Option<Box<str>> {
    std::str::from_utf8(fields.value(name)?).ok().map(Box::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_decodable_codings_are_requested() {
        for (accepted, page_request) in [
            ("gzip, deflate, br, zstd", Some("gzip, br, zstd")),
            ("gzip, deflate, br, zstd, dcb, dcz", Some("gzip, br, zstd")),
            ("gzip;q=1.0, *;q=0.5", Some("gzip;q=1.0")),
            ("deflate", Some("identity")),
            ("br;q=0.5,GZIP", None),
            ("identity", None),
        ] {
            let found = known_codings(accepted.as_bytes());
            assert_eq!(found.as_deref(), page_request.map(str::as_bytes), "{accepted}");
        }
    }
}
