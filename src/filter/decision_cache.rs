//! Per-connection decision cache. Browsers repeat the same cookies with each subresource request;
//! equal input within the same second gives an equal decision.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use super::cookie_rewrite::CookieFieldDecision;
use super::site_filter::Filter;
use crate::catalogue::CookieContext;
use crate::consent::{Consent, Signals};
use crate::cookie::Cookies;
use crate::http::Fields;
use crate::policy::Policy;

/// Maximum size of a cached `Cookie` field, in bytes. Longer fields are parsed on every request.
const MAX_FIELD_BYTES: usize = 4096;

/// The last decision of a connection, with the cookies of its request. Kept in memory until the
/// next request or [`forget`](Self::forget).
#[derive(Default)]
pub struct DecisionCache(Mutex<Option<Box<CachedDecision>>>);

impl fmt::Debug for DecisionCache {
    /// Omits the cookies.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recall").finish_non_exhaustive()
    }
}

/// The inputs of a decision, and the decision.
struct CachedDecision {
    filter: Weak<Filter>,
    now: i64,
    signals: Signals,
    region: Option<Box<[u8]>>,
    cookie: Box<[u8]>,
    known: Arc<CachedCookies>,
}

/// The decision about the cookies of a request.
pub(super) struct CachedCookies {
    /// The visitor's consent.
    pub(super) consent: Consent,
    verdict: OnceLock<CookieFieldDecision>,
}

impl CachedCookies {
    /// The verdict on the request's only `Cookie` field. `policy` must be the one that the consent
    /// was read with.
    pub(super) fn verdict(&self, field: &[u8], policy: &Policy) -> &CookieFieldDecision {
        self.verdict.get_or_init(|| {
            CookieFieldDecision::of(
                field,
                &CookieContext::request(&Cookies::new([field])),
                policy,
                &self.consent,
            )
        })
    }
}

impl DecisionCache {
    /// Clears the cache.
    pub fn forget(&self) {
        *self.locked() = None;
    }

    fn locked(&self) -> MutexGuard<'_, Option<Box<CachedDecision>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The decision about a request's cookies at `now` (Unix seconds), computed or cached. With
/// `trusted`, the request's region header is honoured.
pub(super) fn known(
    filter: &Arc<Filter>,
    fields: &impl Fields,
    cookie: &[u8],
    trusted: bool,
    recall: Option<&DecisionCache>,
    now: i64,
) -> Arc<CachedCookies> {
    let reader = &filter.settings.reader;
    let region = reader.region_of(fields, trusted);
    let signals = Signals::of(fields);
    let recall = recall.filter(|_| cookie.len() <= MAX_FIELD_BYTES);
    let mut place = recall.map(DecisionCache::locked);
    if let Some(memory) = place.as_ref().and_then(|memory| memory.as_ref())
        && *memory.cookie == *cookie
        && memory.now == now
        && memory.signals == signals
        && memory.region.as_deref() == region
        && std::ptr::eq(memory.filter.as_ptr(), Arc::as_ptr(filter))
    {
        return Arc::clone(&memory.known);
    }
    let cookies = Cookies::new([cookie]);
    let consent = reader.read(&cookies, signals, region, now);
    let known = Arc::new(CachedCookies { consent, verdict: OnceLock::new() });
    if let Some(place) = &mut place {
        **place = Some(Box::new(CachedDecision {
            filter: Arc::downgrade(filter),
            now,
            signals,
            region: region.map(Box::from),
            cookie: Box::from(cookie),
            known: Arc::clone(&known),
        }));
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, parse};
    use crate::http::{FieldSection, joined_cookies};

    const NOW: i64 = 1_795_500_000;

    fn filter() -> Arc<Filter> {
        let toml = "
            [[site]]\nupstream = 'http://127.0.0.1:1'
            [consent]\nmax_age_days = 1
            [consent.region]\nheader = 'x-region'\nregions = { US = 'allow' }
        ";
        let config = parse(toml, None, &Overrides::default()).expect("a valid config");
        Arc::new(Filter::new(config.sites[0].filter.clone()))
    }

    #[test]
    fn a_decision_is_reused_only_for_equal_cookies_signals_region_rules_and_second() {
        let (filter, other) = (filter(), filter());
        let everything = "functional+analytics+targeting+social";
        let decided = format!("consentry=1~{}~2018-05-25~{everything}~", NOW - 24 * 60 * 60);
        let recall = DecisionCache::default();
        let ask = |filter: &Arc<Filter>, fields: &[(&str, &str)], trusted, now| {
            let section = FieldSection::from_lines(fields);
            let cookies = joined_cookies(&section).unwrap_or_default();
            let known = known(filter, &section, &cookies, trusted, Some(&recall), now);
            let fresh = super::known(filter, &section, &cookies, trusted, None, now);
            assert_eq!(known.consent, fresh.consent, "{fields:?}");
            known
        };
        let cookie = ("cookie", decided.as_str());
        let first = ask(&filter, &[cookie], true, NOW);
        assert!(first.consent.is_decided());
        assert!(Arc::ptr_eq(&first, &ask(&filter, &[cookie], true, NOW)));
        let others = [
            ask(&filter, &[cookie], true, NOW + 1),
            ask(&filter, &[cookie, ("sec-gpc", "1")], true, NOW),
            ask(&filter, &[cookie, ("dnt", "1")], true, NOW),
            ask(&filter, &[cookie, ("x-region", "US")], true, NOW),
            ask(&filter, &[("cookie", "a=1"), ("x-region", "US")], true, NOW),
            ask(&filter, &[("cookie", "a=1"), ("x-region", "US")], false, NOW),
            ask(&filter, &[cookie, ("cookie", "a=1")], true, NOW),
            ask(&other, &[cookie], true, NOW),
            ask(&filter, &[cookie], true, NOW),
        ];
        for (number, known) in others.iter().enumerate() {
            assert!(!Arc::ptr_eq(&first, known), "{number}");
        }
        assert!(!others[0].consent.is_decided(), "a second later it is too old");
        recall.forget();
        let again = ask(&filter, &[cookie], true, NOW);
        assert!(!Arc::ptr_eq(&others[8], &again));
    }
}
