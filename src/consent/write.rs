//! Writes decisions to the native cookie.

use http::HeaderValue;
use time::Date;

use super::own_cookie::MAX_LIFETIME_DAYS;
use super::sources::{Native, NativeCookie};
use super::{CategorySet, Consent, ConsentReader, is_older};
use crate::cookie::{Cookies, SetCookie};

/// Age from which a refusal is renewed, in days: half of the lifetime of a cookie.
const RENEW_AFTER_DAYS: u32 = 200;

impl ConsentReader {
    /// The native cookie for a decision made at `decided_at` (Unix seconds) on the current notice.
    pub fn new_cookie(&self, granted: CategorySet, decided_at: i64) -> NativeCookie {
        let notice_date = self.notice_date.unwrap_or(Date::MIN);
        NativeCookie { decided_at, notice_date, granted, receipt: String::new() }
    }

    /// The cookie value, signed if there are keys.
    pub fn cookie_value(&self, cookie: &NativeCookie) -> String {
        cookie.value(&self.categories, self.own.keys.as_deref())
    }

    /// Whether a `Set-Cookie` line of the origin would set or delete the native cookie, if the site reads it.
    pub fn is_own_cookie(&self, cookie: &SetCookie<'_>) -> bool {
        cookie.is_sent_as(Native::COOKIE.as_bytes()) && self.reads_own_cookie()
    }

    /// The `Set-Cookie` values that store a decision. `request` is the host (lower case, without
    /// port) and whether the client uses HTTPS; `sent` contains the request's cookies.
    ///
    /// A decision with at least one refusal gets the maximum lifetime, because refusals never
    /// expire.
    pub fn set_cookies(
        &self,
        value: &str,
        granted: CategorySet,
        request: (&str, bool),
        sent: &Cookies<'_>,
    ) -> Vec<HeaderValue> {
        let days = match self.categories.all().difference(granted) {
            CategorySet::EMPTY => self.max_age_days,
            _ => self.max_age_days.max(MAX_LIFETIME_DAYS),
        };
        let sent = sent.values(Native::COOKIE.as_bytes()).next().is_some();
        self.own.set_cookies(value, days, request, sent)
    }

    /// Whether the decision may be a refusal that must be renewed. Browsers delete cookies after
    /// 400 days, and then a default with grants would apply.
    pub fn may_need_renewal(&self, consent: &Consent, now: i64) -> bool {
        let grants = self.region.is_some() || self.default != CategorySet::NECESSARY;
        grants && consent.decided_at.is_some_and(|at| is_older(at, RENEW_AFTER_DAYS, now))
    }

    /// The `Set-Cookie` value that renews an old refusal.
    pub fn renewal(
        &self,
        cookies: &Cookies<'_>,
        host: &str,
        secure: bool,
        now: i64,
    ) -> Option<HeaderValue> {
        let mut copies = cookies.values(Native::COOKIE.as_bytes());
        // Several copies have different domains, and requests do not contain domains.
        let value = copies.next().filter(|_| copies.next().is_none())?;
        let cookie = NativeCookie::parse(value, &self.categories).ok()?;
        let is_refusal = self.categories.all().difference(cookie.granted) != CategorySet::EMPTY;
        let is_own = self.own.keys.as_ref().is_none_or(|keys| NativeCookie::is_signed(value, keys));
        let is_old = is_older(cookie.decided_at, RENEW_AFTER_DAYS, now);
        if !is_old || !is_refusal || !is_own || !self.reads_own_cookie() {
            return None;
        }
        // Earlier versions stored the receipt id for visitors who refused everything.
        let cookie = match cookie.granted {
            CategorySet::NECESSARY => NativeCookie { receipt: String::new(), ..cookie },
            _ => cookie,
        };
        let value = self.cookie_value(&cookie);
        self.own.set_cookie(&value, self.max_age_days.max(MAX_LIFETIME_DAYS), host, secure)
    }
}
