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
mod outcome;

use http::{Method, Request, Response, StatusCode};
use http_body::Body;

use crate::centre::Centre;
use crate::config::settings;
use bytes::Bytes;
use codec::{Budget, Coding};
use csp::Policies;
use insertion::{Insertion, Plan};

pub use asked::Asked;
pub use body::{PageBody, PageError};
pub use outcome::Outcome;

/// What is changed in the pages of one site.
#[derive(Debug)]
pub struct Pages {
    settings: settings::Page,
    budget: Budget,
}

impl Pages {
    /// What is to be changed; `None` when nothing is.
    pub fn new(settings: &settings::Page) -> Option<Self> {
        let any = settings.banner.is_some() || settings.guard;
        any.then(|| Self { settings: settings.clone(), budget: Budget::default() })
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
        let consent = &centre.consent(request.headers(), trusted, now);
        let banner = self.settings.banner.is_some() && !consent.is_decided();
        let guard = self.settings.guard;
        Asked::of(request, (banner, guard), consent, centre, &self.budget)
    }

    /// Changes a response, where it is a page.
    pub fn rewrite<B>(
        &self,
        asked: Asked,
        response: Response<B>,
        centre: &Centre,
    ) -> Response<PageBody<B>>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let (mut parts, body) = response.into_parts();
        let coding =
            head::coding(parts.status, &parts.headers).filter(|_| asked.method != Method::HEAD);
        let Some(coding) = coding else {
            if asked.guards() && parts.status == StatusCode::NOT_MODIFIED {
                head::revalidate(&mut parts.headers);
            }
            return Response::from_parts(parts, PageBody::Unchanged(body));
        };
        let policies = Policies::of(&parts.headers);
        let banner = asked.banner(centre, &policies);
        let guard = asked.guard(centre, &policies);
        if banner.is_none() && guard.is_none() {
            if asked.guards() {
                head::revalidate(&mut parts.headers);
            }
            return Response::from_parts(parts, PageBody::Unchanged(body));
        }
        head::change(&mut parts.headers, banner.is_some());
        let permit = asked.permit.filter(|_| coding != Coding::Identity);
        let insertion = Insertion::new(Plan { banner, guard });
        Response::from_parts(parts, PageBody::rewritten(body, insertion, coding, permit))
    }
}
