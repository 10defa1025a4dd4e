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
/// next request or [`clear`](Self::clear).
#[derive(Default)]
pub struct DecisionCache(Mutex<Option<Box<CachedDecision>>>);

impl fmt::Debug for DecisionCache {
    /// Omits the cookies.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecisionCache").finish_non_exhaustive()
    }
}

/// The inputs of a decision, and the decision.
struct CachedDecision {
    filter: Weak<Filter>,
    now: i64,
    signals: Signals,
    region: Option<Box<[u8]>>,
    cookie: Box<[u8]>,
    decision: Arc<CachedCookies>,
}

/// The decision about the cookies of a request.
pub(super) struct CachedCookies {
    /// The visitor's consent.
    pub(super) consent: Consent,
    field_decision: OnceLock<CookieFieldDecision>,
}

impl CachedCookies {
    /// The verdict on the request's only `Cookie` field. `policy` must be the one that the consent
    /// was read with.
    pub(super) fn field_decision(&self, field: &[u8], policy: &Policy) -> &CookieFieldDecision {
        self.field_decision.get_or_init(|| {
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
    pub fn clear(&self) {
        *self.locked() = None;
    }

    fn locked(&self) -> MutexGuard<'_, Option<Box<CachedDecision>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The decision about a request's cookies at `now` (Unix seconds), computed or cached. With
/// `trusted`, the request's region header is honoured.
pub(super) fn decision(
    filter: &Arc<Filter>,
    fields: &impl Fields,
    cookie: &[u8],
    trusted: bool,
    cache: Option<&DecisionCache>,
    now: i64,
) -> Arc<CachedCookies> {
    let reader = &filter.settings.reader;
    let region = reader.region_of(fields, trusted);
    let signals = Signals::of(fields);
    let cache = cache.filter(|_| cookie.len() <= MAX_FIELD_BYTES);
    let mut entry = cache.map(DecisionCache::locked);
    if let Some(cached) = entry.as_ref().and_then(|cached| cached.as_ref())
        && *cached.cookie == *cookie
        && cached.now == now
        && cached.signals == signals
        && cached.region.as_deref() == region
        && std::ptr::eq(cached.filter.as_ptr(), Arc::as_ptr(filter))
    {
        return Arc::clone(&cached.decision);
    }
    let cookies = Cookies::new([cookie]);
    let consent = reader.read(&cookies, signals, region, now);
    let decision = Arc::new(CachedCookies { consent, field_decision: OnceLock::new() });
    if let Some(entry) = &mut entry {
        **entry = Some(Box::new(CachedDecision {
            filter: Arc::downgrade(filter),
            now,
            signals,
            region: region.map(Box::from),
            cookie: Box::from(cookie),
            decision: Arc::clone(&decision),
        }));
    }
    decision
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
        let cache = DecisionCache::default();
        let decide = |filter: &Arc<Filter>, fields: &[(&str, &str)], trusted, now| {
            let section = FieldSection::from_lines(fields);
            let cookies = joined_cookies(&section).unwrap_or_default();
            let decision = decision(filter, &section, &cookies, trusted, Some(&cache), now);
            let fresh = super::decision(filter, &section, &cookies, trusted, None, now);
            assert_eq!(decision.consent, fresh.consent, "{fields:?}");
            decision
        };
        let cookie = ("cookie", decided.as_str());
        let first = decide(&filter, &[cookie], true, NOW);
        assert!(first.consent.is_decided());
        assert!(Arc::ptr_eq(&first, &decide(&filter, &[cookie], true, NOW)));
        let others = [
            decide(&filter, &[cookie], true, NOW + 1),
            decide(&filter, &[cookie, ("sec-gpc", "1")], true, NOW),
            decide(&filter, &[cookie, ("dnt", "1")], true, NOW),
            decide(&filter, &[cookie, ("x-region", "US")], true, NOW),
            decide(&filter, &[("cookie", "a=1"), ("x-region", "US")], true, NOW),
            decide(&filter, &[("cookie", "a=1"), ("x-region", "US")], false, NOW),
            decide(&filter, &[cookie, ("cookie", "a=1")], true, NOW),
            decide(&other, &[cookie], true, NOW),
            decide(&filter, &[cookie], true, NOW),
        ];
        for (number, decision) in others.iter().enumerate() {
            assert!(!Arc::ptr_eq(&first, decision), "{number}");
        }
        assert!(!others[0].consent.is_decided(), "a second later it is too old");
        cache.clear();
        let again = decide(&filter, &[cookie], true, NOW);
        assert!(!Arc::ptr_eq(&others[8], &again));
    }
}
