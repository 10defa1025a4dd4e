//! HTML rewriting: inserts the banner for undecided visitors and the guard script that restricts
//! script-written storage, and makes third-party tags without consent inert. Streaming, with
//! bounded memory.
//!
//! Runs after the filter, which has processed the response head.

mod block_tags;
mod body;
mod captured_text;
mod charset;
mod csp;
mod css;
mod data_url;
mod document;
mod links;
mod loads;
mod media_type;
mod outcome;
mod page_request;
mod response_headers;
mod rewriter;
mod scrubber;
mod tag;
mod text;
mod tokenizer;
mod transcoder;
mod tree;
mod url_policy;
mod xml;

use bytes::Bytes;
use http::StatusCode;
use http_body::Body;

use crate::config::settings;
use crate::consent::Consent;
use crate::consent_ui::ConsentUi;
use crate::filter::ClientInfo;
use crate::http::{Destination, FieldSection, Request, Response};
pub(crate) use body::{PageBody, PageError};
use csp::Policies;
use document::Insertions;
use media_type::{DocumentKind, MediaType};
pub use outcome::PageOutcome;
pub(crate) use page_request::PageRequest;
use response_headers::ResponseCoding;
use rewriter::{RewritePlan, Rewriter};
use transcoder::{PageCoding, RewriteLimit};

/// HTML rewriting of one site.
#[derive(Debug)]
pub struct SiteRewriter {
    settings: settings::PageSettings,
    budget: RewriteLimit,
}

impl SiteRewriter {
    /// The rewriting for these settings. `None` if nothing is to be rewritten.
    pub fn new(settings: &settings::PageSettings) -> Option<Self> {
        let any = settings.banner.is_some() || settings.guard;
        any.then(|| Self { settings: settings.clone(), budget: RewriteLimit::default() })
    }

    /// Rewrites the response to a request of a visitor with this consent, in a single call, for
    /// tests and benchmarks. The request is untrusted and has the time 0 (1970).
    pub fn change<Q, B>(
        &self,
        request: http::Request<Q>,
        consent: &Consent,
        response: http::Response<B>,
        centre: &ConsentUi,
    ) -> http::Response<PageBody<B>>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let client = ClientInfo { secure: false, trusted: false };
        match self.page_request(&mut Request::from_http(request), client, 0, centre) {
            None => response.map(PageBody::Unchanged),
            Some(page_request) => self
                .rewrite(page_request, consent, Response::from_http(response), centre)
                .into_http(),
        }
    }

    /// Inspects a request whose response may be a page to rewrite. Edits the request so that the
    /// origin sends the whole page.
    ///
    /// `now` is in Unix seconds.
    pub(crate) fn page_request<B>(
        &self,
        request: &mut Request<B>,
        client: ClientInfo,
        now: i64,
        centre: &ConsentUi,
    ) -> Option<PageRequest> {
        let features = (self.settings.banner.is_some(), self.settings.guard);
        let consent = |fields: &FieldSection| centre.consent(fields, client.trusted, now);
        let grants_all = |consent: &Consent| centre.grants_all(consent.granted);
        PageRequest::of(request, features, client.secure, &self.budget, consent, grants_all)
    }

    /// Rewrites a response to a visitor with this consent, if it is a page.
    pub(crate) fn rewrite<B>(
        &self,
        mut page_request: PageRequest,
        consent: &Consent,
        response: Response<B>,
        centre: &ConsentUi,
    ) -> Response<PageBody<B>>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let (mut head, body) = response.into_parts();
        let fields = &mut head.fields;
        let guarded = page_request.guards && !centre.grants_all(consent.granted);
        let blocks = blocks(&page_request, consent, centre);
        strip_links(&page_request, consent, fields, centre);
        let is_page = page_request.destination.is_page();
        let Some((media_type, coded)) = response_headers::document(head.status, fields, is_page)
        else {
            // The browser may reuse its copy of this page after the consent has changed.
            let confirmed = head.status == StatusCode::NOT_MODIFIED && page_request.guards;
            if confirmed && (is_page || page_request.had_mark) {
                response_headers::mark(fields);
            }
            return head.map(|()| PageBody::Unchanged(body));
        };
        let is_document = is_document(page_request.destination, media_type);
        if page_request.guards && !is_page || page_request.lacks_banner(consent) {
            response_headers::vary_by_destination(fields);
            if is_document {
                response_headers::revalidate(fields);
            }
        }
        if is_document && page_request.guards && !blocks {
            response_headers::mark(fields);
        }
        let decodes = blocks || media_type.charset.is_ascii_compatible();
        let coding = match coded {
            ResponseCoding::As(coding) => Some(coding),
            ResponseCoding::Undecodable if blocks && is_document => {
                return Response::new(StatusCode::BAD_GATEWAY, PageBody::refused(body));
            }
            ResponseCoding::Unknown if blocks => Some(PageCoding::Identity),
            ResponseCoding::Unknown | ResponseCoding::Undecodable => None,
        };
        let Some(coding) = coding.filter(|_| is_document && decodes) else {
            return head.map(|()| PageBody::Unchanged(body));
        };
        let policies = Policies::of(fields);
        let banner = page_request.banner(consent, centre, &policies, coding);
        let banner = banner.filter(|_| media_type.kind != Some(DocumentKind::Svg));
        if !guarded && banner.is_none() {
            return head.map(|()| PageBody::Unchanged(body));
        }
        response_headers::change(fields, banner.is_some());
        let guard =
            guarded.then(|| page_request.guard(consent.granted, centre, &policies)).flatten();
        let plan = RewritePlan {
            media_type,
            policy: page_request.policy(consent.granted, centre),
            blocks,
            inserts: Insertions { guard: guard.map(Into::into), banner, only_whole: !is_page },
        };
        let permit = page_request.permit.take().or_else(|| self.budget.take());
        let permit = permit.filter(|_| coding != PageCoding::Identity);
        head.map(|()| PageBody::rewritten(body, Rewriter::new(plan), coding, permit))
    }
}

/// Removes blocked URLs from the fields of a response, or of an interim response such as 103.
pub(crate) fn strip_links(
    page_request: &PageRequest,
    consent: &Consent,
    fields: &mut FieldSection,
    centre: &ConsentUi,
) {
    if links::any(fields) && blocks(page_request, consent, centre) {
        links::strip(fields, &page_request.policy(consent.granted, centre));
    }
}

/// Whether URLs without consent are blocked. In observe mode, the page gets the guard script, which
/// only reports, and no other changes.
fn blocks(page_request: &PageRequest, consent: &Consent, centre: &ConsentUi) -> bool {
    page_request.guards && !centre.grants_all(consent.granted) && !centre.observes()
}

/// Whether a response at this destination can contain markup that loads URLs.
fn is_document(destination: Destination, media_type: MediaType) -> bool {
    match media_type.kind {
        Some(DocumentKind::Html) => true,
        // SVG images and XML data load nothing.
        Some(DocumentKind::Xhtml | DocumentKind::Svg) | None => destination != Destination::Part,
        Some(DocumentKind::Xml) => destination.is_page(),
    }
}

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod testing;

#[cfg(test)]
mod bound_tests;
