//! The response's side: strips `Set-Cookie` lines and other tracking technologies, deletes what
//! should not be there, and keeps a changed response out of shared caches.
//!
//! Previous step: the inner service. Next: the visitor. One line, one decision: a response may set
//! cookies of several categories. What stays, stays byte for byte and in order.

use http::Method;
use http::header::{HeaderMap, HeaderValue, SET_COOKIE};

use super::report::Report;
use super::request::Visit;
use super::seen::Outcome;
use super::state::Filter;
use super::together::SetTogether;
use super::{cache, technologies};
use crate::catalogue::Sight;
use crate::consent::Category;
use crate::cookie::SetCookie;

/// Filters the head of a response (also of a 101, a redirect, an error) in place.
pub(super) fn filter(filter: &Filter, visit: &mut Visit, headers: &mut HeaderMap, now: i64) {
    let request = (&visit.method, visit.uri.path());
    let mut changed = strip_set_cookies(filter, &mut visit.report, headers, request, now);
    let enforces = filter.enforces();
    let settings = &filter.settings.technologies;
    let granted = visit.granted();
    changed |= technologies::strip(
        headers,
        settings,
        granted,
        visit.known_beacon,
        enforces,
        &mut visit.report,
    );
    if let Some(page) = &visit.page_load {
        let deletions = page.deletions(filter);
        visit.report.expired = u16::try_from(deletions.len()).unwrap_or(u16::MAX);
        if enforces {
            for line in deletions {
                changed = true;
                headers.append(SET_COOKIE, line);
            }
        }
    }
    if changed {
        cache::keep_private(headers);
    }
}

/// Strips each `Set-Cookie` line without consent, from a head or from trailers. Returns whether
/// the headers were changed. `request` is the method and path of the request.
pub(super) fn strip_set_cookies(
    filter: &Filter,
    report: &mut Report,
    headers: &mut HeaderMap,
    request: (&Method, &str),
    now: i64,
) -> bool {
    // Most responses set no cookie, and most of the others none that has to go.
    let mut kept: Option<Vec<HeaderValue>> = None;
    let lines = headers.get_all(SET_COOKIE);
    let response = Lines {
        sight: Sight::response(headers, now),
        together: SetTogether::new(headers, request.0, now),
        request_path: request.1,
        now,
    };
    for (index, line) in lines.iter().enumerate() {
        if passes(filter, report, line.as_bytes(), &response) {
            if let Some(kept) = &mut kept {
                kept.push(line.clone());
            }
        } else {
            kept.get_or_insert_with(|| lines.iter().take(index).cloned().collect());
        }
    }
    let Some(kept) = kept.filter(|_| filter.enforces()) else { return false };
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

/// The `Set-Cookie` lines of one response.
struct Lines<'a> {
    sight: Sight<'a>,
    together: SetTogether<'a>,
    request_path: &'a str,
    now: i64,
}

fn passes(filter: &Filter, report: &mut Report, line: &[u8], response: &Lines<'_>) -> bool {
    let now = response.now;
    let cookie = SetCookie::parse(line);
    let policy = &filter.settings.policy;
    let decision = policy.set_cookie(&cookie, &response.sight, &report.consent);
    let outcome = Outcome { permitted: decision.permitted, decided: report.consent.is_decided() };
    if decision.category() == Some(Category::NECESSARY) {
        filter.inventory.note_set(decision.rule, &cookie, &response.together, outcome, now);
        return true;
    }
    if !filter.learned.knows(&cookie, now) {
        let scope = cookie.scope();
        if scope.deletes(now) {
            return true;
        }
        if !cookie.name.is_empty() {
            filter.learned.note(&cookie, &scope, response.request_path);
        }
    }
    filter.inventory.note_set(decision.rule, &cookie, &response.together, outcome, now);
    if !decision.permitted {
        report.response_stripped.add(decision.category());
        tracing::debug!(cookie = %cookie.name.escape_ascii(), "strips a cookie from the response");
    }
    decision.permitted
}
