//! Filter of one site: its settings, and the data learned from the traffic.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use http::header::COOKIE;
use memchr::memchr_iter;

use super::cookie_scopes::CookieScopes;
use super::inventory::Inventory;
use super::observation::ItemDecision;
use super::page_paths::PagePaths;
use super::report::Report;
use crate::catalogue::{BeaconRule, LIST_COOKIE};
use crate::config::settings::{FilterSettings, Mode};
use crate::cookie::SetCookie;
use crate::http::Fields;

/// Filter of one site: its settings, and the data learned from the traffic.
#[derive(Debug)]
pub struct Filter {
    pub(super) settings: FilterSettings,
    pub(super) scopes: Arc<CookieScopes>,
    pub(super) inventory: Inventory,
    pub(super) page_paths: Arc<PagePaths>,
    /// Number of page loads whose responses deleted cookies.
    pub(super) page_loads: AtomicUsize,
}

impl Filter {
    /// A filter without any observations.
    pub fn new(settings: FilterSettings) -> Self {
        let inventory = Inventory::new(&settings.policy.catalogue);
        let page_loads = AtomicUsize::new(0);
        let (scopes, page_paths) = (Arc::default(), Arc::default());
        Self { settings, scopes, inventory, page_paths, page_loads }
    }

    /// A filter with other settings for the same site. Keeps the inventory and the learned scopes.
    pub fn with_settings(&self, settings: FilterSettings) -> Self {
        let old = &self.settings.policy.catalogue;
        let inventory = self.inventory.successor(old, &settings.policy.catalogue);
        let page_loads = AtomicUsize::new(0);
        let (scopes, page_paths) = (Arc::clone(&self.scopes), Arc::clone(&self.page_paths));
        Self { settings, scopes, inventory, page_paths, page_loads }
    }

    /// The current settings.
    pub fn settings(&self) -> &FilterSettings {
        &self.settings
    }

    /// The cookies and beacons seen.
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// Whether a request exceeds the cookie limit. Counts all `Cookie` fields without parsing them.
    pub(crate) fn has_too_many_cookies(&self, fields: &impl Fields) -> bool {
        let fields = fields.values(&COOKIE);
        let cookies: usize = fields.map(|field| memchr_iter(b';', field).count() + 1).sum();
        cookies > self.settings.max_cookies
    }

    /// Records a beacon that matches a rule.
    pub(super) fn record_beacon(
        &self,
        rule: &BeaconRule,
        report: &Report,
        permitted: bool,
        now: i64,
    ) {
        let decided = report.consent.is_decided();
        let outcome = ItemDecision { permitted, decided, presumed: None };
        self.inventory.record_beacon(rule, outcome, now);
    }

    /// Whether a `Set-Cookie` line of the origin would set or delete a cookie that only consentry
    /// may set.
    pub(super) fn is_own_cookie(&self, cookie: &SetCookie<'_>) -> bool {
        let FilterSettings { reader, policy, .. } = &self.settings;
        reader.is_own_cookie(cookie)
            || policy.presumes() && cookie.is_sent_as(LIST_COOKIE.as_bytes())
    }

    pub(super) fn enforces(&self) -> bool {
        self.settings.mode == Mode::Enforce
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, parse};

    #[test]
    fn new_settings_keep_inventory_and_cookie_scopes() {
        let settings = |toml: &str| {
            let toml = format!("{toml}\n[[site]]\nupstream = 'http://127.0.0.1:1'");
            let config = parse(&toml, None, &Overrides::default()).expect("a valid config");
            config.sites[0].filter.clone()
        };
        let before = Filter::new(settings(""));
        let cookie = SetCookie::parse(b"uid=1; Path=/shop");
        before.scopes.record(&cookie, &cookie.scope(), "/");
        before.inventory.record_blocked(crate::filter::BlockedKind::Storage, "key", 7);
        let after = before.with_settings(settings("mode = 'observe'"));
        assert_eq!(after.settings.mode, Mode::Observe);
        assert_eq!(after.scopes.scopes_of(b"uid"), before.scopes.scopes_of(b"uid"));
        assert_eq!(after.scopes.scopes_of(b"uid").len(), 1);
        assert_eq!(after.inventory.blocked(crate::filter::BlockedKind::Storage).len(), 1);
    }
}
