//! The response's side: strips `Set-Cookie` lines and other tracking technologies, deletes what
//! should not be there, and keeps a changed response out of shared caches.
//!
//! Previous step: the inner service. Next: the visitor. One line, one decision: a response may set
//! cookies of several categories. What stays, stays byte for byte and in order. Without consent a line that a
//! browser may read as a deletion is replaced by a deletion of our own, and every other one is stripped.

use std::cell::OnceCell;

use http::Method;
use http::header::{DATE, HeaderMap, HeaderValue, SET_COOKIE};

use super::expire::is_deletable;
use super::report::Report;
use super::request::Visit;
use super::seen::Outcome;
use super::state::Filter;
use super::together::SetTogether;
use super::{cache, presumed, technologies};
use crate::catalogue::Sight;
use crate::consent::{Category, CategorySet, Consent};
use crate::cookie::{Effect, ResponseTime, SetCookie};
use crate::policy::Decision;

/// Filters the head of a response (also of a 101, a redirect, an error) in place.
pub(super) fn filter(filter: &Filter, visit: &mut Visit, headers: &mut HeaderMap, now: i64) {
    let mut changed = strip_set_cookies(filter, visit, headers, now);
    changed |= strip_fields(filter, visit, headers);
    let enforces = filter.enforces();
    if let Some((page, host)) = visit.page_load.as_ref().zip(visit.host.as_ref()) {
        let deletions = page.deletions(filter, (host, visit.uri.path()), headers.len());
        visit.report.expired = u16::try_from(deletions.len()).unwrap_or(u16::MAX);
        if enforces {
            for line in deletions {
                changed = true;
                headers.append(SET_COOKIE, line);
            }
        }
    }
    if let Some(line) = visit.renewal.take().filter(|_| enforces) {
        changed = true;
        headers.append(SET_COOKIE, line);
    }
    if changed {
        cache::keep_private(headers);
    }
}

/// What to do with a `Set-Cookie` line.
#[derive(Debug, PartialEq, Eq)]
enum Action {
    Pass,
    Strip,
    /// Forward this line instead, which deletes the cookie.
    Replace(HeaderValue),
}

/// Strips or replaces each `Set-Cookie` line without consent, and strips each that would forge consent. Returns whether
/// the headers were changed.
fn strip_set_cookies(
    filter: &Filter,
    visit: &mut Visit,
    headers: &mut HeaderMap,
    now: i64,
) -> bool {
    let method = visit.method.clone();
    let mut presumed = Vec::new();
    let mut changed = rewrite(headers, filter.enforces(), (&method, now), |lines, line| {
        decide(filter, visit, line, lines, &mut presumed)
    });
    if filter.enforces() && !presumed.is_empty() {
        for line in presumed::lines(&visit.lists, &presumed, now) {
            changed = true;
            headers.append(SET_COOKIE, line);
        }
    }
    changed
}

/// Strips fields other than `Set-Cookie`. Returns whether that depended on the consent.
fn strip_fields(filter: &Filter, visit: &mut Visit, headers: &mut HeaderMap) -> bool {
    let Visit { report, host, known_beacon, .. } = visit;
    let host = host.as_deref().unwrap_or_default();
    let stripped = technologies::strip_response(headers, filter, host, report);
    let beacon = *known_beacon && technologies::strip_validators(headers, filter, report);
    stripped || beacon
}

/// Filters the trailers of a response in place, by the rules of its head. Browsers ignore `Set-Cookie` there, so lines
/// without consent are only stripped.
pub(super) fn filter_trailers(
    filter: &Filter,
    report: &mut Report,
    trailers: &mut HeaderMap,
    now: i64,
) {
    rewrite(trailers, filter.enforces(), (&Method::GET, now), |lines, line| {
        let cookie = SetCookie::parse(line.as_bytes());
        if filter.is_own_cookie(&cookie) {
            return forged(report);
        }
        let decision = lines.decision(filter, &cookie, &report.consent);
        note(filter, report, &cookie, decision, lines);
        if decision.permitted { Action::Pass } else { Action::Strip }
    });
    technologies::strip_response(trailers, filter, "", report);
}

/// Whether a `Set-Cookie` line passes in a response without other lines.
pub(super) fn permits(filter: &Filter, consent: &Consent, line: HeaderValue, now: i64) -> bool {
    let mut headers = HeaderMap::with_capacity(1);
    headers.insert(SET_COOKIE, line);
    let mut permitted = false;
    rewrite(&mut headers, false, (&Method::GET, now), |lines, line| {
        let cookie = SetCookie::parse(line.as_bytes());
        permitted =
            !filter.is_own_cookie(&cookie) && lines.decision(filter, &cookie, consent).permitted;
        Action::Pass
    });
    permitted
}

/// The `Set-Cookie` lines of one response.
struct Lines<'a> {
    sight: Sight<'a>,
    together: SetTogether<'a>,
    headers: &'a HeaderMap,
    time: OnceCell<ResponseTime>,
    now: i64,
}

impl Lines<'_> {
    fn decision<'f>(
        &self,
        filter: &'f Filter,
        cookie: &SetCookie<'_>,
        consent: &Consent,
    ) -> Decision<'f> {
        let policy = &filter.settings.policy;
        policy.set_cookie(cookie, &self.sight, || self.time(), consent)
    }

    /// By which clocks the browser judges the response.
    fn time(&self) -> ResponseTime {
        *self.time.get_or_init(|| {
            let dates = self.headers.get_all(DATE).iter();
            let time = ResponseTime::new(self.now);
            dates.fold(time, |time, date| time.with_date(date.as_bytes()))
        })
    }
}

/// Applies a decision to each `Set-Cookie` line of a response to a request with this method, at `now` (Unix seconds); with
/// `enforces` the headers change. Returns whether they did.
fn rewrite(
    headers: &mut HeaderMap,
    enforces: bool,
    (method, now): (&Method, i64),
    mut decide: impl FnMut(&Lines<'_>, &HeaderValue) -> Action,
) -> bool {
    // Most responses set no cookie, and most of the others none that has to go.
    let mut kept: Option<Vec<HeaderValue>> = None;
    let lines = headers.get_all(SET_COOKIE);
    let response = Lines {
        sight: Sight::response(headers, now),
        together: SetTogether::new(headers, method, now),
        headers,
        time: OnceCell::new(),
        now,
    };
    for (index, line) in lines.iter().enumerate() {
        let action = decide(&response, line);
        if action != Action::Pass {
            kept.get_or_insert_with(|| lines.iter().take(index).cloned().collect());
        }
        if let Some(kept) = &mut kept {
            match action {
                Action::Pass => kept.push(line.clone()),
                Action::Strip => {}
                Action::Replace(deletion) => kept.push(deletion),
            }
        }
    }
    let Some(kept) = kept.filter(|_| enforces) else { return false };
    // `insert` replaces all lines in the place of the first: no other header moves.
    let mut kept = kept.into_iter();
    match kept.next() {
        Some(first) => headers.insert(SET_COOKIE, first),
        None => headers.remove(SET_COOKIE),
    };
    for line in kept {
        headers.append(SET_COOKIE, line);
    }
    true
}

/// Decides on a line of a response's head.
fn decide(
    filter: &Filter,
    visit: &mut Visit,
    line: &HeaderValue,
    lines: &Lines<'_>,
    presumed: &mut Vec<HeaderValue>,
) -> Action {
    let cookie = SetCookie::parse(line.as_bytes());
    if filter.is_own_cookie(&cookie) {
        return forged(&mut visit.report);
    }
    let decision = lines.decision(filter, &cookie, &visit.report.consent);
    if decision.category() == Some(Category::NECESSARY) {
        note(filter, &mut visit.report, &cookie, decision, lines);
        return Action::Pass;
    }
    let effect = effect(filter, &cookie, visit.uri.path(), lines.time());
    if effect != Effect::Deletes {
        note(filter, &mut visit.report, &cookie, decision, lines);
        if decision.presumed.is_some() {
            presumed.push(line.clone());
        }
    }
    if decision.permitted {
        return Action::Pass;
    }
    let needed = || {
        let siblings = filter.settings.siblings.as_ref().zip(visit.host.as_ref());
        let needs = siblings.map(|(all, host)| all.needs(host, |_| CategorySet::NECESSARY));
        !is_deletable(needs.as_ref(), cookie.name)
    };
    let deletes = match effect {
        Effect::Stores => false,
        // The origin deletes it, whoever needs it.
        Effect::Deletes => is_deletable(None, cookie.name),
        Effect::Unclear => !needed(),
    };
    let deletion = deletes.then(|| cookie.deletion()).flatten();
    deletion.map_or(Action::Strip, Action::Replace)
}

/// Strips a line that would set or delete consentry's own cookie.
fn forged(report: &mut Report) -> Action {
    report.response_stripped.add(Some(Category::NECESSARY));
    tracing::debug!("strips a cookie of consentry that the origin sets");
    Action::Strip
}

/// Counts a line that sets a cookie, and logs it if it does not pass.
fn note(
    filter: &Filter,
    report: &mut Report,
    cookie: &SetCookie<'_>,
    decision: Decision<'_>,
    lines: &Lines<'_>,
) {
    let outcome = Outcome {
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
        tracing::debug!(cookie = %cookie.name.escape_ascii(), "strips a cookie from the response");
    }
}

/// What a browser does with the cookie of a line; notes where the cookie lives.
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
