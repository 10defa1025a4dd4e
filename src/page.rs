//! Changes in the origin's pages: the banner for visitors who have not decided, the guard over what
//! scripts store, foreign tags made inert. Streamed; a page that cannot be changed passes as it is.
//!
//! Previous step: the filter, which has settled the response's head. Next: the visitor.

mod asked;
mod body;
mod codec;
mod csp;
mod head;
mod inert;
mod insertion;
mod known;
mod outcome;

use std::sync::Arc;

use bytes::Bytes;
use http::header::HeaderMap;
use http::{Request, Response, StatusCode};
use http_body::Body;

use crate::centre::Centre;
use crate::config::settings;
use crate::consent::Consent;
pub use asked::Asked;
pub use body::{PageBody, PageError};
use codec::{Budget, Coding};
use csp::Policies;
use insertion::{Insertion, Plan};
use known::KnownBodies;
pub use outcome::Outcome;

/// What is changed in the pages of one site.
#[derive(Debug)]
pub struct Pages {
    settings: settings::Page,
    budget: Budget,
    known: Arc<KnownBodies>,
}

impl Pages {
    /// What is to be changed; `None` when nothing is.
    pub fn new(settings: &settings::Page) -> Option<Self> {
        let any = settings.banner.is_some() || settings.guard;
        any.then(|| Self {
            settings: settings.clone(),
            budget: Budget::default(),
            known: Arc::default(),
        })
    }

    /// Looks at a request: whether its answer may be a page to change. Then the origin must send it whole.
    ///
    /// `trusted` says whether what the request tells of the visitor's region is believed, `now` is in Unix
    /// seconds.
    pub fn asked<B>(
        &self,
        request: &mut Request<B>,
        trusted: bool,
        now: i64,
        centre: &Centre,
    ) -> Option<Asked> {
        let wanted = (self.settings.banner.is_some(), self.settings.guard);
        let consent = |headers: &HeaderMap| centre.consent(headers, trusted, now);
        let grants_all = |consent: &Consent| centre.grants_all(consent.granted);
        Asked::of(request, wanted, &self.budget, consent, grants_all)
    }

    /// Changes a response to a visitor with this consent, where it is a page.
    pub fn rewrite<B>(
        &self,
        asked: Asked,
        consent: &Consent,
        response: Response<B>,
        centre: &Centre,
    ) -> Response<PageBody<B>>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let (mut parts, body) = response.into_parts();
        let coding = head::coding(parts.status, &parts.headers);
        let page = coding.and_then(|coding| {
            let policies = Policies::of(&parts.headers);
            let banner = asked.banner(consent, centre, &policies, coding);
            let guard = asked.guard(consent, centre, &policies);
            let known = Arc::clone(&self.known);
            let any = banner.is_some() || guard.is_some();
            any.then_some((coding, Plan { banner, guard, known }))
        });
        let Some((coding, plan)) = page else {
            // The browser may show this page again when the consent is another one.
            if asked.guards && (coding.is_some() || parts.status == StatusCode::NOT_MODIFIED) {
                head::revalidate(&mut parts.headers);
            }
            return Response::from_parts(parts, PageBody::Unchanged(body));
        };
        head::change(&mut parts.headers, plan.banner.is_some());
        let permit = asked.permit.filter(|_| coding != Coding::Identity);
        Response::from_parts(parts, PageBody::rewritten(body, Insertion::new(plan), coding, permit))
    }
}
