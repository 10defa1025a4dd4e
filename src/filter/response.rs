//! Response filter: strips `Set-Cookie` lines and other tracking technologies, deletes cookies
//! without consent, and keeps a modified response out of shared caches.
//!
//! Runs after the inner service. Each line has its own decision: a response may set cookies of
//! several categories. The remaining lines are unchanged in bytes and order. A line without consent
//! that a browser may interpret as a deletion is replaced by a generated deletion. All other lines
//! without consent are stripped.

use std::cell::OnceCell;

use bytes::Bytes;
use http::Method;
use http::header::{DATE, HeaderMap, HeaderValue, SET_COOKIE};

use super::cookie_deletion::is_deletable;
use super::edits::Edits;
use super::observation::ItemDecision;
use super::report::Report;
use super::request::RequestContext;
use super::session_companion::SetTogether;
use super::site_filter::Filter;
use super::{presumed, tracking_headers};
use crate::catalogue::CookieContext;
use crate::consent::{Category, CategorySet, Consent};
use crate::cookie::{Effect, ResponseTime, SetCookie};
use crate::http::{Change, Fields, make_private};
use crate::policy::Decision;

/// Filters the head of a response, including 101, redirects and errors.
pub(super) fn filter(
    filter: &Filter,
    visit: &mut RequestContext,
    fields: &impl Fields,
    now: i64,
) -> Edits {
    let mut edits = Edits::default();
    let enforces = filter.enforces();
    let mut changed = strip_set_cookies(filter, visit, fields, now, &mut edits);
    changed |= strip_fields(filter, visit, fields, &mut edits);
    let mut append = |line: Bytes| {
        changed = true;
        edits.append(SET_COOKIE, line);
    };
    if let Some((page, host)) = visit.page_load.as_ref().zip(visit.host.as_ref()) {
        let deletions = page.deletions(filter, (host, visit.uri.path()), fields.count());
        visit.report.expired = u16::try_from(deletions.len()).unwrap_or(u16::MAX);
        for line in deletions.iter().filter(|_| enforces) {
            append(Bytes::copy_from_slice(line.as_bytes()));
        }
    }
    if let Some(line) = visit.renewal.take().filter(|_| enforces) {
        append(Bytes::copy_from_slice(line.as_bytes()));
    }
    if changed {
        make_private(fields, |name, value| edits.set(name, value));
    }
    edits
}

/// Strips or replaces each `Set-Cookie` line without consent, and strips each line that would forge
/// consent. Returns whether lines were changed.
fn strip_set_cookies(
    filter: &Filter,
    visit: &mut RequestContext,
    fields: &impl Fields,
    now: i64,
    edits: &mut Edits,
) -> bool {
    let method = visit.method.clone();
    let mut presumed = Vec::new();
    let changes = judge(fields, (&method, now), |lines, line| {
        decide(filter, visit, line, lines, &mut presumed)
    });
    let enforces = filter.enforces();
    let changes = changes.filter(|_| enforces);
    let mut changed = changes.is_some();
    changes.into_iter().for_each(|changes| edits.each(SET_COOKIE, changes));
    if enforces && !presumed.is_empty() {
        for line in presumed::lines(&visit.lists, &presumed, now) {
            changed = true;
            edits.append(SET_COOKIE, line);
        }
    }
    changed
}

/// Strips fields other than `Set-Cookie`. Returns whether the result depended on the consent.
fn strip_fields(
    filter: &Filter,
    visit: &mut RequestContext,
    fields: &impl Fields,
    edits: &mut Edits,
) -> bool {
    let RequestContext { report, host, known_beacon, .. } = visit;
    let host = host.as_deref().unwrap_or_default();
    let stripped = tracking_headers::strip_response(fields, filter, host, report, edits);
    let beacon = *known_beacon && tracking_headers::strip_validators(fields, filter, report, edits);
    stripped || beacon
}

/// Filters the trailers of a response, or an interim response, by the rules for the head. Browsers
/// ignore `Set-Cookie` in trailers, so lines without consent are only stripped.
pub(super) fn filter_trailers(
    filter: &Filter,
    report: &mut Report,
    trailers: &impl Fields,
    now: i64,
) -> Edits {
    let mut edits = Edits::default();
    let changes = judge(trailers, (&Method::GET, now), |lines, line| {
        let cookie = SetCookie::parse(line);
        if filter.is_own_cookie(&cookie) {
            return forged(report);
        }
        let decision = lines.decision(filter, &cookie, &report.consent);
        note(filter, report, &cookie, decision, lines);
        if decision.permitted { Change::Keep } else { Change::Remove }
    });
    let changes = changes.filter(|_| filter.enforces());
    changes.into_iter().for_each(|changes| edits.each(SET_COOKIE, changes));
    tracking_headers::strip_response(trailers, filter, "", report, &mut edits);
    edits
}

/// Whether a `Set-Cookie` line passes if the response has no other line.
pub(super) fn permits(filter: &Filter, consent: &Consent, line: HeaderValue, now: i64) -> bool {
    let mut headers = HeaderMap::with_capacity(1);
    headers.insert(SET_COOKIE, line);
    let mut permitted = false;
    judge(&headers, (&Method::GET, now), |lines, line| {
        let cookie = SetCookie::parse(line);
        permitted =
            !filter.is_own_cookie(&cookie) && lines.decision(filter, &cookie, consent).permitted;
        Change::Keep
    });
    permitted
}

/// The `Set-Cookie` lines of one response.
struct ResponseCookies<'a> {
    sight: CookieContext<'a>,
    together: SetTogether<'a>,
    dates: Vec<&'a [u8]>,
    time: OnceCell<ResponseTime>,
    now: i64,
}

impl ResponseCookies<'_> {
    fn decision<'f>(
        &self,
        filter: &'f Filter,
        cookie: &SetCookie<'_>,
        consent: &Consent,
    ) -> Decision<'f> {
        let policy = &filter.settings.policy;
        policy.set_cookie(cookie, &self.sight, || self.time(), consent)
    }

    /// The clocks by which browsers evaluate expiry dates of the response.
    fn time(&self) -> ResponseTime {
        *self.time.get_or_init(|| {
            let time = ResponseTime::new(self.now);
            self.dates.iter().fold(time, |time, date| time.with_date(date))
        })
    }
}

/// One change per `Set-Cookie` line of a response to a request with this method, at `now` (Unix
/// seconds). `None` if all lines pass.
fn judge<'a>(
    fields: &'a impl Fields,
    (method, now): (&Method, i64),
    mut decide: impl FnMut(&ResponseCookies<'_>, &'a [u8]) -> Change,
) -> Option<Vec<Change>> {
    let lines: Vec<&[u8]> = fields.values(&SET_COOKIE).collect();
    // Fast path: most responses set no cookie.
    if lines.is_empty() {
        return None;
    }
    let response = ResponseCookies {
        sight: CookieContext::response(&lines, now),
        together: SetTogether::new(&lines, method, now),
        dates: fields.values(&DATE).collect(),
        time: OnceCell::new(),
        now,
    };
    let changes: Vec<Change> = lines.iter().map(|line| decide(&response, line)).collect();
    let changed = changes.iter().any(|change| !matches!(change, Change::Keep));
    changed.then_some(changes)
}

/// Decides about a line of a response head.
fn decide<'a>(
    filter: &Filter,
    visit: &mut RequestContext,
    line: &'a [u8],
    lines: &ResponseCookies<'_>,
    presumed: &mut Vec<&'a [u8]>,
) -> Change {
    let cookie = SetCookie::parse(line);
    if filter.is_own_cookie(&cookie) {
        return forged(&mut visit.report);
    }
    let decision = lines.decision(filter, &cookie, &visit.report.consent);
    if decision.category() == Some(Category::NECESSARY) {
        note(filter, &mut visit.report, &cookie, decision, lines);
        return Change::Keep;
    }
    let effect = effect(filter, &cookie, visit.uri.path(), lines.time());
    if effect != Effect::Deletes {
        note(filter, &mut visit.report, &cookie, decision, lines);
        if decision.presumed.is_some() {
            presumed.push(line);
        }
    }
    if decision.permitted {
        return Change::Keep;
    }
    let needed = || {
        let siblings = filter.settings.siblings.as_ref().zip(visit.host.as_ref());
        let needs = siblings.map(|(all, host)| all.needs(host, |_| CategorySet::NECESSARY));
        !is_deletable(needs.as_ref(), cookie.name)
    };
    let deletes = match effect {
        Effect::Stores => false,
        // The origin itself deletes the cookie, so the needs of sibling sites do not matter.
        Effect::Deletes => is_deletable(None, cookie.name),
        Effect::Unclear => !needed(),
    };
    let deletion = deletes.then(|| cookie.deletion()).flatten();
    deletion.map_or(Change::Remove, |line| Change::Set(Bytes::copy_from_slice(line.as_bytes())))
}

/// Strips a line that would set or delete one of consentry's own cookies.
fn forged(report: &mut Report) -> Change {
    report.response_stripped.add(Some(Category::NECESSARY));
    tracing::debug!("stripped a consentry cookie set by the origin");
    Change::Remove
}

/// Counts a line that sets a cookie, and logs a stripped one.
fn note(
    filter: &Filter,
    report: &mut Report,
    cookie: &SetCookie<'_>,
    decision: Decision<'_>,
    lines: &ResponseCookies<'_>,
) {
    let outcome = ItemDecision {
        permitted: decision.permitted,
        decided: report.consent.is_decided(),
        presumed: decision.presumed,
    };
    if let Some(grounds) = decision.presumed {
        report.note_presumed(grounds);
    }
    filter.inventory.note_set(decision.rule, cookie, &lines.together, outcome, lines.now);
    if !decision.permitted {
        report.response_stripped.add(decision.category());
        tracing::debug!(cookie = %cookie.name.escape_ascii(), "stripped a cookie from the response");
    }
}

/// The effect of a line in a browser. Records the scope of the cookie.
fn effect(
    filter: &Filter,
    cookie: &SetCookie<'_>,
    request_path: &str,
    time: ResponseTime,
) -> Effect {
    if filter.learned.knows(cookie, time) {
        return Effect::Stores;
    }
    let scope = cookie.scope();
    let effect = scope.effect(time);
    if effect != Effect::Deletes {
        filter.learned.note(cookie, &scope, request_path);
    }
    effect
}
