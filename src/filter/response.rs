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
use super::{page_policies, presumed, tracking_headers};
use crate::catalogue::{CookieContext, is_consent_record};
use crate::consent::{Category, CategorySet, Consent};
use crate::cookie::{Effect, ResponseTime, SetCookie, cap_lifetime};
use crate::http::{Change, Fields, make_private};
use crate::policy::Decision;

/// Filters the head of a response, including 101, redirects and errors.
pub(super) fn filter(
    filter: &Filter,
    context: &mut RequestContext,
    fields: &impl Fields,
    now: i64,
) -> Edits {
    let mut edits = Edits::default();
    let enforces = filter.enforces();
    let mut changed = strip_set_cookies(filter, context, fields, now, &mut edits);
    changed |= strip_fields(filter, context, fields, &mut edits);
    let mut append = |line: Bytes| {
        changed = true;
        edits.append(SET_COOKIE, line);
    };
    if let Some((page, host)) = context.page_load.as_ref().zip(context.host.as_ref()) {
        let deletions = page.deletions(filter, (host, context.uri.path()), fields.count());
        context.report.expired = u16::try_from(deletions.len()).unwrap_or(u16::MAX);
        for line in deletions.iter().filter(|_| enforces) {
            append(Bytes::copy_from_slice(line.as_bytes()));
        }
    }
    if let Some(line) = context.renewal.take().filter(|_| enforces) {
        append(Bytes::copy_from_slice(line.as_bytes()));
    }
    if changed {
        make_private(fields, |name, value| edits.set(name, value));
    }
    edits
}

/// Strips or replaces each `Set-Cookie` line without consent, and strips each line that would forge
/// consent. Caps the lifetimes in the other lines. Returns whether the result depended on the
/// consent: a cap is the same for every visitor.
fn strip_set_cookies(
    filter: &Filter,
    context: &mut RequestContext,
    fields: &impl Fields,
    now: i64,
    edits: &mut Edits,
) -> bool {
    let method = context.method.clone();
    let (mut presumed, mut changed) = (Vec::new(), false);
    let enforces = filter.enforces();
    let changes = decide_lines(fields, (&method, now), |lines, line| {
        let (category, change) = decide(filter, context, line, lines, &mut presumed);
        changed |= enforces && !matches!(change, Change::Keep);
        lines.capped(filter, category, line, change)
    });
    let changes = changes.filter(|_| enforces);
    changes.into_iter().for_each(|changes| edits.each(SET_COOKIE, changes));
    if enforces && !presumed.is_empty() {
        for line in presumed::lines(&context.lists, &presumed, now) {
            changed = true;
            edits.append(SET_COOKIE, line);
        }
    }
    changed
}

/// Strips fields other than `Set-Cookie`, and tightens policies of pages. Returns whether the result depended on the consent.
fn strip_fields(
    filter: &Filter,
    context: &mut RequestContext,
    fields: &impl Fields,
    edits: &mut Edits,
) -> bool {
    let RequestContext { report, host, known_beacon, .. } = context;
    let host = host.as_deref().unwrap_or_default();
    let stripped = tracking_headers::strip_response(fields, filter, host, report, edits);
    let beacon = *known_beacon && tracking_headers::strip_validators(fields, filter, report, edits);
    let tightened = page_policies::tighten(fields, filter, report.consent.granted, edits);
    stripped || beacon || tightened
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
    let changes = decide_lines(trailers, (&Method::GET, now), |lines, line| {
        let cookie = SetCookie::parse(line);
        if filter.is_own_cookie(&cookie) {
            return forged(report);
        }
        let decision = lines.decision(filter, &cookie, &report.consent);
        record(filter, report, &cookie, decision, lines);
        if !decision.permitted {
            return Change::Remove;
        }
        lines.capped(filter, decision.category(), line, Change::Keep)
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
    decide_lines(&headers, (&Method::GET, now), |lines, line| {
        let cookie = SetCookie::parse(line);
        permitted =
            !filter.is_own_cookie(&cookie) && lines.decision(filter, &cookie, consent).permitted;
        Change::Keep
    });
    permitted
}

/// Whether the response sets a strictly necessary cookie or a record of consent, or deletes a
/// cookie that may be strictly necessary. The answer does not depend on the consent.
pub(super) fn changes_session(
    filter: &Filter,
    context: &RequestContext,
    fields: &impl Fields,
    now: i64,
) -> bool {
    let mut changes = false;
    decide_lines(fields, (&context.method, now), |lines, line| {
        let cookie = SetCookie::parse(line);
        let decision = lines.decision(filter, &cookie, &context.report.consent);
        let deletes = || cookie.scope().effect(lines.time()) != Effect::Stores;
        changes |= !filter.is_own_cookie(&cookie)
            && match decision.category() {
                Some(category) => category == Category::NECESSARY,
                None => {
                    decision.presumed.is_some()
                        || is_consent_record(cookie.name, Some(cookie.value))
                        || deletes()
                }
            };
        Change::Keep
    });
    changes
}

/// The `Set-Cookie` lines of one response.
struct ResponseCookies<'a> {
    cookie_context: CookieContext<'a>,
    set_together: SetTogether<'a>,
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
        policy.set_cookie(cookie, &self.cookie_context, || self.time(), consent)
    }

    /// The change of a line in this category, with the lifetime of a kept line capped.
    fn capped(
        &self,
        filter: &Filter,
        category: Option<Category>,
        line: &[u8],
        change: Change,
    ) -> Change {
        let cap = filter.settings.max_cookie_lifetime.of(category);
        match (change, cap) {
            (Change::Keep, Some(cap)) => cap_lifetime(line, cap, self.time(), self.now)
                .map_or(Change::Keep, |line| Change::Set(line.into())),
            (change, _) => change,
        }
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
fn decide_lines<'a>(
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
        cookie_context: CookieContext::response(&lines, now),
        set_together: SetTogether::new(&lines, method, now),
        dates: fields.values(&DATE).collect(),
        time: OnceCell::new(),
        now,
    };
    let changes: Vec<Change> = lines.iter().map(|line| decide(&response, line)).collect();
    let changed = changes.iter().any(|change| !matches!(change, Change::Keep));
    changed.then_some(changes)
}

/// Decides about a line of a response head. Returns the category of the cookie, and the change.
fn decide<'a>(
    filter: &Filter,
    context: &mut RequestContext,
    line: &'a [u8],
    lines: &ResponseCookies<'_>,
    presumed: &mut Vec<&'a [u8]>,
) -> (Option<Category>, Change) {
    let cookie = SetCookie::parse(line);
    if filter.is_own_cookie(&cookie) {
        return (None, forged(&mut context.report));
    }
    let decision = lines.decision(filter, &cookie, &context.report.consent);
    let category = decision.category();
    if category == Some(Category::NECESSARY) {
        record(filter, &mut context.report, &cookie, decision, lines);
        return (category, Change::Keep);
    }
    let effect = effect(filter, &cookie, context.uri.path(), lines.time());
    if effect != Effect::Deletes {
        record(filter, &mut context.report, &cookie, decision, lines);
        if decision.presumed.is_some() {
            presumed.push(line);
        }
    }
    if decision.permitted {
        return (category, Change::Keep);
    }
    let is_needed = || {
        let siblings = filter.settings.siblings.as_ref().zip(context.host.as_ref());
        let needs = siblings.map(|(all, host)| all.needs(host, |_| CategorySet::NECESSARY));
        !is_deletable(needs.as_ref(), cookie.name)
    };
    let deletes = match effect {
        Effect::Stores => false,
        // The origin itself deletes the cookie, so the needs of sibling sites do not matter.
        Effect::Deletes => is_deletable(None, cookie.name),
        Effect::Unclear => !is_needed(),
    };
    let deletion = deletes.then(|| cookie.deletion()).flatten();
    let change = deletion
        .map_or(Change::Remove, |line| Change::Set(Bytes::copy_from_slice(line.as_bytes())));
    (category, change)
}

/// Strips a line that would set or delete one of consentry's own cookies.
fn forged(report: &mut Report) -> Change {
    report.response_stripped.add(Some(Category::NECESSARY));
    tracing::debug!("stripped a consentry cookie set by the origin");
    Change::Remove
}

/// Counts a line that sets a cookie, and logs a stripped one.
fn record(
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
    if let Some(evidence) = decision.presumed {
        report.record_presumed(evidence);
    }
    filter.inventory.record_set(decision.rule, cookie, &lines.set_together, outcome, lines.now);
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
    if filter.scopes.contains(cookie, time) {
        return Effect::Stores;
    }
    let scope = cookie.scope();
    let effect = scope.effect(time);
    if effect != Effect::Deletes {
        filter.scopes.record(cookie, &scope, request_path);
    }
    effect
}
