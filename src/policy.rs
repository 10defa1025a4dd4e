//! Cookie policy: combines consent and catalogue into a decision. Free of side effects.
//!
//! Behaviour in doubtful cases:
//!
//! | case                                     | behaviour                                         |
//! |------------------------------------------|---------------------------------------------------|
//! | the consent cookie is malformed          | no decision: the site's default                   |
//! | a cookie is strictly necessary           | it passes, whatever the consent                   |
//! | a rule names a vendor of the IAB's list  | if a TC string decides, the vendor needs consent too |
//! | a rule requires attributes, and the `Set-Cookie` has others | the rule does not match           |
//! | a cookie is unclassified, and is a consent record | it passes                                |
//! | a cookie is unclassified or nameless     | `unclassified`: `presume` passes presumed necessary cookies;        |
//! |                                          | else `presume` and `block` require every category; `allow` passes all |
//! | a `Set-Cookie` may delete its cookie     | without consent, a generated deletion passes (decided by the filter) |
//! | no rule matches a request as a beacon    | it is forwarded                                   |

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::catalogue::{
    Catalogue, CookieContext, CookieRule, Entry, Presumption, is_consent_record, presumed_sent,
    presumed_set,
};
use crate::consent::{Category, CategorySet, Consent, Vendors};
use crate::cookie::{Cookies, ResponseTime, SetCookie};

/// Treatment of unclassified cookies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unclassified {
    /// Cookies that are presumed strictly necessary pass. Others are treated as with `Block`.
    Presume,
    /// Pass only for visitors who granted every category.
    Block,
    /// Pass.
    Allow,
}

/// The decision about a cookie.
#[derive(Debug, Clone, Copy)]
pub struct Decision<'a> {
    /// The matching rule. `None` for an unclassified cookie.
    pub rule: Option<&'a CookieRule>,
    /// Why an unclassified cookie is presumed strictly necessary, if it is.
    pub presumed: Option<Presumption>,
    /// Whether the cookie passes.
    pub permitted: bool,
}

impl Decision<'_> {
    /// The cookie's category. `None` for an unclassified cookie.
    pub fn category(&self) -> Option<Category> {
        self.rule.map(|rule| rule.entry.category)
    }
}

/// A site's catalogue and its treatment of unclassified cookies.
#[derive(Debug)]
pub struct Policy {
    /// Rules for cookies and beacons.
    pub catalogue: Catalogue,
    /// Treatment of unclassified cookies.
    pub unclassified: Unclassified,
    /// Every category of the site.
    pub all: CategorySet,
    /// The vendors in the catalogue's rules.
    pub vendors: Vendors,
}

impl Policy {
    /// Decides about a cookie that a browser with these cookies may store, by its name as raw
    /// bytes. In doubt, the cookie is permitted.
    pub fn held_cookie(
        &self,
        name: &[u8],
        cookies: &Cookies<'_>,
        consent: &Consent,
    ) -> Decision<'_> {
        let sight = CookieContext::benefit_of_doubt(cookies);
        let rule = self.catalogue.cookie_in(name, &sight);
        self.decide(rule, name, None, consent, || presumed_sent(name, &sight))
    }

    /// Decides about a cookie of a request. `sight` is the context of the request.
    pub fn sent_cookie(
        &self,
        (name, value): (&[u8], &[u8]),
        sight: &CookieContext<'_>,
        consent: &Consent,
    ) -> Decision<'_> {
        let rule = self.catalogue.cookie_in(name, sight);
        self.decide(rule, name, Some(value), consent, || presumed_sent(name, sight))
    }

    /// Decides about a `Set-Cookie` line. `sight` is the context of the response, and `time` has
    /// the clocks by which browsers evaluate it.
    pub fn set_cookie(
        &self,
        cookie: &SetCookie<'_>,
        sight: &CookieContext<'_>,
        time: impl FnOnce() -> ResponseTime,
        consent: &Consent,
    ) -> Decision<'_> {
        let rule = self.catalogue.set_cookie(cookie, sight);
        let presumed = || presumed_set(cookie, time());
        self.decide(rule, cookie.name, Some(cookie.value), consent, presumed)
    }

    fn decide<'a>(
        &self,
        rule: Option<&'a CookieRule>,
        name: &[u8],
        value: Option<&[u8]>,
        consent: &Consent,
        presumed: impl FnOnce() -> Option<Presumption>,
    ) -> Decision<'a> {
        if let Some(rule) = rule {
            let permitted = self.permits(&rule.entry, consent);
            return Decision { rule: Some(rule), presumed: None, permitted };
        }
        if is_consent_record(name, value) {
            return Decision { rule, presumed: None, permitted: true };
        }
        // Regardless of consent: a cookie that passes now must still pass after a withdrawal.
        let presumed = self.presumes().then(presumed).flatten();
        let permitted = presumed.is_some() || self.permits_unclassified(consent.granted);
        Decision { rule, presumed, permitted }
    }

    /// Whether a classified cookie or beacon may pass.
    pub fn permits(&self, entry: &Entry, consent: &Consent) -> bool {
        let refused = || {
            let vendor = entry.tcf_vendor.and_then(|id| self.vendors.find(id, entry.category));
            vendor.is_some_and(|vendor| consent.refused_vendors.contains(vendor))
        };
        match entry.category {
            Category::NECESSARY => true,
            category => permits(consent.granted, category) && !refused(),
        }
    }

    /// Whether unclassified cookies may be presumed strictly necessary.
    pub fn presumes(&self) -> bool {
        self.unclassified == Unclassified::Presume
    }

    /// Whether unclassified cookies and beacons may pass without further evidence.
    pub fn permits_unclassified(&self, granted: CategorySet) -> bool {
        match self.unclassified {
            Unclassified::Presume | Unclassified::Block => {
                self.all.difference(granted) == CategorySet::EMPTY
            }
            Unclassified::Allow => true,
        }
    }
}

/// Whether a category may pass. Strictly necessary cannot be refused.
pub fn permits(granted: CategorySet, category: Category) -> bool {
    category == Category::NECESSARY || granted.contains(category)
}
