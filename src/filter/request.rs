//! The request's side: reads the consent, recognises beacons, strips `Cookie` pairs.
//!
//! Previous step: `service` (or `proxy`, which found the site). Next: the inner service, which
//! forwards; then `response`. What stays in a `Cookie` field stays byte for byte.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, Uri};

use super::answer::{self, SEC_FETCH_DEST, Wanted};
use super::expire::PageLoad;
use super::report::Report;
use super::seen::Outcome;
use super::state::Filter;
use crate::catalogue::{BeaconProbe, BeaconRule};
use crate::consent::{CategorySet, Signals};
use crate::cookie::{Cookies, Pair, pairs};

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// The most names that no rule knows which are noted of one request: a visitor can send thousands.
const MOST_UNKNOWN_NOTED: usize = 64;

/// What is known of who sent a request, besides the request.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Peer {
    /// The visitor came by https.
    pub(super) secure: bool,
    /// What the request says of the visitor's region is believed.
    pub(super) trusted: bool,
}

/// What the response's side must know of the request.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) report: Box<Report>,
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) wanted: Wanted,
    pub(super) ping: bool,
    /// A rule knows the request as a beacon: its response need not be guessed at.
    pub(super) known_beacon: bool,
    /// Set when the response is to delete cookies.
    pub(super) page_load: Option<Box<PageLoad>>,
}

impl Visit {
    pub(super) fn granted(&self) -> CategorySet {
        self.report.consent.granted
    }
}

/// Filters a request in place. `Err` is the answer to a beacon that the origin must not see.
pub(super) fn filter<B>(
    filter: &Filter,
    request: &mut Request<B>,
    peer: Peer,
    now: i64,
) -> Result<Visit, Box<(Response<Bytes>, Box<Report>)>> {
    let settings = &filter.settings;
    let headers = request.headers();
    let cookies = Cookies::of(headers);
    let region = settings.reader.region_of(headers, peer.trusted);
    let consent = settings.reader.read(&cookies, Signals::of(headers), region, now);
    let mut report = Box::new(Report::new(consent));

    let path = request.uri().path();
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let beacon = settings.policy.catalogue.beacon(&BeaconProbe {
        method: request.method(),
        host: host(request),
        path,
        query: request.uri().query(),
        fetch_dest: headers.get(SEC_FETCH_DEST).map(HeaderValue::as_bytes),
        content_type,
    });
    let wanted = Wanted::by(headers, path);
    let permits = |rule: &BeaconRule| {
        (rule.email_open && settings.email_opens) || settings.policy.permits(&rule.entry, &consent)
    };
    if let Some(rule) = beacon {
        let permitted = permits(rule);
        let outcome = Outcome { permitted, decided: consent.is_decided() };
        filter.inventory.note_beacon(rule, outcome, now);
    }
    if let Some(rule) = beacon.filter(|rule| !permits(rule)) {
        report.beacon = Some(Some(rule.entry.category));
        if filter.enforces() {
            let answer = answer::to_beacon(request.method(), headers, wanted);
            return Err(Box::new((answer, report)));
        }
    }
    let mut visit = Visit {
        report,
        method: request.method().clone(),
        uri: request.uri().clone(),
        wanted,
        ping: content_type.is_some_and(is_ping),
        known_beacon: beacon.is_some(),
        page_load: None,
    };

    if let Some(name) = &settings.forward_header {
        remove_alike(request.headers_mut(), name);
        let names = settings.reader.categories.names_of(consent.granted).join(",");
        if filter.enforces()
            && let Ok(names) = HeaderValue::try_from(names)
        {
            request.headers_mut().insert(name, names);
        }
    }
    let headers = request.headers();
    let expires = settings.expire.enabled && is_page_load(request.method(), headers);
    let stripped = strip_cookies(filter, request.headers_mut(), &mut visit.report, expires, now);
    if !stripped.is_empty() {
        visit.page_load = host(request).map(|host| {
            let secure = peer.secure || request.uri().scheme_str() == Some("https");
            Box::new(PageLoad { names: stripped, host: host.to_ascii_lowercase().into(), secure })
        });
    }
    Ok(visit)
}

/// Removes what a visitor sends in our name, observing or not: the origin would believe it. With `_`
/// for `-` too, which is the same to an origin that hands fields on as CGI does (RFC 3875 section 4.1.18).
fn remove_alike(headers: &mut HeaderMap, name: &HeaderName) {
    fn handed_on(name: &HeaderName) -> impl Iterator<Item = u8> {
        name.as_str().bytes().map(|byte| if byte == b'_' { b'-' } else { byte })
    }
    let alike = headers.keys().filter(|field| handed_on(field).eq(handed_on(name)));
    let alike: Vec<HeaderName> = alike.cloned().collect();
    for name in alike {
        headers.remove(name);
    }
}

fn is_ping(content_type: &[u8]) -> bool {
    content_type.get(..9).is_some_and(|start| start.eq_ignore_ascii_case(b"text/ping"))
}

/// A navigation, by Fetch Metadata; of clients without it, a request that accepts HTML.
fn is_page_load(method: &Method, headers: &HeaderMap) -> bool {
    if method != Method::GET {
        return false;
    }
    match headers.get(SEC_FETCH_MODE) {
        Some(mode) => mode.as_bytes() == b"navigate",
        None => headers
            .get(ACCEPT)
            .is_some_and(|accept| memchr::memmem::find(accept.as_bytes(), b"text/html").is_some()),
    }
}

/// The host that the visitor asked for, without port.
fn host<B>(request: &Request<B>) -> Option<&str> {
    if let Some(host) = request.uri().host() {
        return Some(host);
    }
    named_host(request.headers())
}

/// The host of the `Host` field, without port.
pub(crate) fn named_host(headers: &HeaderMap) -> Option<&str> {
    headers.get(HOST)?.to_str().ok().map(without_port)
}

/// A host without the port behind it.
pub(crate) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Strips every pair without consent, and returns their names, each once, when `collect` is set.
fn strip_cookies(
    filter: &Filter,
    headers: &mut HeaderMap,
    report: &mut Report,
    collect: bool,
    now: i64,
) -> Vec<Box<[u8]>> {
    let mut names: Vec<Box<[u8]>> = Vec::new();
    let most = filter.settings.expire.max_per_response;
    let consent = report.consent;
    let decided = consent.is_decided();
    let mut unknown = 0_usize;
    let mut judge = |pair: &Pair<'_>| {
        let decision = filter.settings.policy.cookie(pair.name, &consent);
        let outcome = Outcome { permitted: decision.permitted, decided };
        unknown += usize::from(decision.rule.is_none());
        if decision.rule.is_some() || unknown <= MOST_UNKNOWN_NOTED {
            filter.inventory.note_sent(decision.rule, pair.name, outcome, now);
        }
        if !decision.permitted {
            report.request_stripped.add(decision.category());
            tracing::debug!(cookie = %pair.name.escape_ascii(), "strips a cookie from the request");
            // A nameless cookie cannot be deleted: there is no line that names it.
            let fresh = collect && !pair.name.is_empty() && names.len() < most;
            if fresh && !names.iter().any(|name| **name == *pair.name) {
                names.push(pair.name.into());
            }
        }
        decision.permitted
    };

    let mut fields = headers.get_all(COOKIE).iter();
    let (first, more) = (fields.next(), fields.next().is_some());
    let Some(first) = first else { return names };
    if !more {
        let rewritten = strip_field(first.as_bytes(), &mut judge);
        if filter.enforces() {
            match rewritten {
                Field::Unchanged => {}
                Field::Empty => {
                    headers.remove(COOKIE);
                }
                Field::Rewritten(value) => {
                    headers.insert(COOKIE, value);
                }
            }
        }
        return names;
    }
    let mut kept = Vec::new();
    let mut changed = false;
    for field in headers.get_all(COOKIE) {
        match strip_field(field.as_bytes(), &mut judge) {
            Field::Unchanged => kept.push(field.clone()),
            Field::Empty => changed = true,
            Field::Rewritten(value) => {
                changed = true;
                kept.push(value);
            }
        }
    }
    if changed && filter.enforces() {
        headers.remove(COOKIE);
        for field in kept {
            headers.append(COOKIE, field);
        }
    }
    names
}

#[derive(Debug, PartialEq, Eq)]
enum Field {
    Unchanged,
    Empty,
    Rewritten(HeaderValue),
}

/// Leaves only the pairs that `keep` wants. Where two neighbours stay, so do the octets between
/// them; where a pair between two others is gone, `; ` separates them.
fn strip_field(field: &[u8], mut keep: impl FnMut(&Pair<'_>) -> bool) -> Field {
    let mut rewritten: Option<Vec<u8>> = None;
    // The end of the last pair that stays, if it was the last one seen.
    let mut kept_to: Option<usize> = Some(0);
    let mut any = false;
    for pair in pairs(field) {
        if !keep(&pair) {
            // The first to go: all before it stays as it is.
            let before = field.get(..kept_to.unwrap_or_default()).unwrap_or_default();
            rewritten.get_or_insert_with(|| before.to_vec());
            kept_to = None;
            continue;
        }
        any = true;
        if let Some(rewritten) = &mut rewritten {
            let from = match kept_to {
                Some(end) => end,
                None => {
                    if !rewritten.is_empty() {
                        rewritten.extend_from_slice(b"; ");
                    }
                    pair.start
                }
            };
            rewritten.extend_from_slice(field.get(from..pair.end).unwrap_or_default());
        }
        kept_to = Some(pair.end);
    }
    let Some(mut rewritten) = rewritten else { return Field::Unchanged };
    if !any {
        return Field::Empty;
    }
    if let Some(end) = kept_to {
        rewritten.extend_from_slice(field.get(end..).unwrap_or_default());
    }
    // Octets of a valid field stay valid; were they not, nothing would be forwarded.
    HeaderValue::from_maybe_shared(Bytes::from(rewritten)).map_or(Field::Empty, Field::Rewritten)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn strip(field: &str, without: &str) -> Option<String> {
        let keep =
            |pair: &Pair<'_>| !without.as_bytes().contains(pair.name.first().unwrap_or(&b'0'));
        match strip_field(field.as_bytes(), keep) {
            Field::Unchanged => Some(field.to_owned()),
            Field::Empty => None,
            Field::Rewritten(value) => Some(String::from_utf8_lossy(value.as_bytes()).into_owned()),
        }
    }

    #[test]
    fn only_the_pairs_without_consent_go() {
        let cases: &[(&str, &str, Option<&str>)] = &[
            ("a=1; b=2; c=3", "", Some("a=1; b=2; c=3")),
            ("a=1; b=2; c=3", "a", Some("b=2; c=3")),
            ("a=1; b=2; c=3", "b", Some("a=1; c=3")),
            ("a=1; b=2; c=3", "c", Some("a=1; b=2")),
            ("a=1; b=2; c=3", "ac", Some("b=2")),
            ("a=1; b=2; c=3", "abc", None),
            ("a=1;b=2;c=3;", "a", Some("b=2;c=3;")),
            ("a=1;\tb=2;; c=\"x y\" ", "a", Some("b=2;; c=\"x y\" ")),
            (" a=1;b=2", "b", Some(" a=1")),
            ("a=1; token; b=2", "0", Some("a=1; b=2")),
            ("a=1,b=2; b=1", "b", Some("a=1,b=2")),
            (";;", "a", Some(";;")),
        ];
        for (field, without, expected) in cases {
            assert_eq!(strip(field, without).as_deref(), *expected, "{field} without {without}");
        }
    }

    proptest! {
        #[test]
        fn kept_pairs_are_byte_for_byte_and_in_order_and_filtering_twice_is_once(
            field in "[ab=; \t\"é]{0,40}",
            without in "[ab0]{0,2}",
        ) {
            let kept = |text: &str| -> Vec<Vec<u8>> {
                pairs(text.as_bytes())
                    .filter(|p| !without.as_bytes().contains(p.name.first().unwrap_or(&b'0')))
                    .map(|pair| text.as_bytes()[pair.start..pair.end].to_vec())
                    .collect()
            };
            // What a field can hold: HeaderValue refuses some of what proptest thinks of.
            prop_assume!(HeaderValue::from_bytes(field.as_bytes()).is_ok());
            let once = strip(&field, &without);
            let text = once.clone().unwrap_or_default();
            let left: Vec<Vec<u8>> =
                pairs(text.as_bytes()).map(|p| text.as_bytes()[p.start..p.end].to_vec()).collect();
            prop_assert_eq!(&left, &kept(&field));
            if let Some(once) = once {
                prop_assert_eq!(strip(&once, &without), Some(once));
            }
        }
    }
}
