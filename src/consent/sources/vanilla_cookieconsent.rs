//! vanilla-cookieconsent by orestbida: `cc_cookie`, JSON with the accepted categories (v3
//! `categories`, v2 `level`) and the accepted services of each category.

use serde_json::Value;

use crate::consent::decode;
use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::{Categories, Category, IdMap, Votes};
use crate::cookie::Cookies;

/// Default categories of the tool's ids.
const DEFAULTS: &[(&str, Category)] = &[
    ("necessary", Category::NECESSARY),
    ("functionality", Category::FUNCTIONAL),
    ("functional", Category::FUNCTIONAL),
    ("preferences", Category::FUNCTIONAL),
    ("analytics", Category::ANALYTICS),
    ("statistics", Category::ANALYTICS),
    ("performance", Category::ANALYTICS),
    ("ads", Category::TARGETING),
    ("advertisement", Category::TARGETING),
    ("advertising", Category::TARGETING),
    ("marketing", Category::TARGETING),
    ("targeting", Category::TARGETING),
    ("social", Category::SOCIAL),
];

/// Reads vanilla-cookieconsent's cookie.
#[derive(Debug)]
pub(super) struct VanillaCookieConsent {
    cookie: String,
    map: IdMap,
    settings: SourceSettings,
}

impl VanillaCookieConsent {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self {
            cookie: settings.cookie_or("cc_cookie"),
            map: IdMap::new(DEFAULTS, &settings.map),
            settings: settings.clone(),
        }
    }

    fn read_one(&self, value: &[u8]) -> Reading {
        let Some(Value::Object(entries)) = decode::json(value) else { return Reading::Malformed };
        let accepted = entries.get("categories").or_else(|| entries.get("level"));
        let Some(accepted) = accepted.and_then(decode::texts) else { return Reading::Malformed };
        let mut votes = Votes::default();
        accepted.iter().for_each(|id| votes.vote(self.map.categories(id), true));
        let services = entries.get("services").and_then(Value::as_object);
        let services = || services.into_iter().flatten();
        // `services` has every category of the site. Categories that are not accepted are refused.
        for (id, _) in services().filter(|(id, _)| !accepted.contains(&id.as_str())) {
            votes.vote(self.map.categories(id), false);
        }
        // The cookie omits refused services, so they are taken from the map.
        votes.vote_configured(&self.map, |id| {
            let accepts = |services: &Value| {
                services.as_array().is_some_and(|services| services.iter().any(|it| it == id))
            };
            accepted.contains(&id) || services().any(|(_, services)| accepts(services))
        });
        votes.deny_rest(self.map.coverage());
        let decided_at = ["lastConsentTimestamp", "consentTimestamp", "consent_date"];
        let decided_at = decided_at.iter().find_map(|key| entries.get(*key).and_then(decode::time));
        let in_force = self.settings.is_in_force(entries.get("revision"));
        let ends_at = entries.get("expirationTime").and_then(decode::time);
        let reading = Reading::decision(votes, &self.map, decided_at).ending_at(ends_at);
        reading.in_revision(in_force)
    }
}

impl ConsentSource for VanillaCookieConsent {
    fn name(&self) -> &'static str {
        "vanilla-cookieconsent"
    }

    fn cookie_names(&self) -> Vec<String> {
        vec![self.cookie.clone()]
    }

    fn read(&self, cookies: &Cookies<'_>, _: &Categories) -> Reading {
        Reading::of_copies(cookies.values(self.cookie.as_bytes()), |value| self.read_one(value))
    }
}
