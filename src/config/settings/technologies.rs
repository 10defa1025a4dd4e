//! Tracking technologies other than cookies that header fields carry, and the category of each.

use crate::consent::{Category, CategorySet};
use crate::policy;

/// A tracking technology that header fields carry. `docs/fields.md` lists the fields of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Technology {
    /// `NEL` and the `Report-To` groups that it names (W3C Network Error Logging).
    Nel,
    /// Reports to other sites: `Reporting-Endpoints`, `Report-To` (W3C Reporting API).
    Reporting,
    /// `Attribution-Reporting-*` (WICG Attribution Reporting).
    AttributionReporting,
    /// `Observe-Browsing-Topics`, `Sec-Browsing-Topics` (WICG Topics).
    Topics,
    /// `Ad-Auction-*`, `Sec-Ad-Auction-*` and fenced frames (WICG Protected Audience).
    AdAuctions,
    /// `Shared-Storage-*`, `Sec-Shared-Storage-*` (WICG Shared Storage).
    SharedStorage,
    /// `Private-State-Token*`, `Sec-Private-State-Token*` and their earlier names (WICG Private State Token API).
    PrivateStateTokens,
    /// Client hints beyond the low-entropy ones (RFC 8942, WICG Client Hints Infrastructure).
    ClientHints,
    /// `Use-As-Dictionary`, `Available-Dictionary`, `Dictionary-ID` (RFC 9842).
    Dictionaries,
    /// The value of `Service-Worker-Navigation-Preload`, which scripts choose and browsers keep (W3C Service Workers).
    NavigationPreload,
    /// `CMCD-*`: what media players report of a playback session (CTA-5004).
    MediaMetrics,
    /// Identifiers that mobile networks insert, such as `X-UIDH`.
    SubscriberIds,
    /// `ETag` and `Last-Modified` of the answers to beacons, which come back with the next request as an
    /// identifier (RFC 9110 section 17.13 on fingerprinting, 8.8.3 on entity tags).
    BeaconETag,
    /// `Set-Login` (W3C Login Status API).
    LoginStatus,
    /// `Secure-Session-*` (W3C Device Bound Session Credentials) and token binding (RFC 8473).
    DeviceBoundSessions,
}

impl Technology {
    const COUNT: usize = 15;
}

/// The categories of tracking technologies; `None` for those that always pass.
#[derive(Debug, Clone, Copy)]
pub struct Technologies {
    categories: [Option<Category>; Technology::COUNT],
    /// What happens to fields that lead the next request to another server.
    pub alternative_services: AlternativeServices,
}

/// What happens to fields that lead the next request to another server, such as `Alt-Svc` (RFC 7838).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AlternativeServices {
    /// They are removed, and browsers forget earlier ones (`Alt-Svc: clear`).
    Clear,
    /// They pass.
    Keep,
}

impl Technologies {
    /// The category of a technology; `None` when it always passes.
    pub fn category(&self, technology: Technology) -> Option<Category> {
        self.categories.get(technology as usize).copied().flatten()
    }

    /// Gives a technology a category; with `None` it always passes.
    pub fn set(&mut self, technology: Technology, category: Option<Category>) {
        if let Some(known) = self.categories.get_mut(technology as usize) {
            *known = category;
        }
    }

    /// Whether a visitor who granted these categories permits a technology.
    pub fn permits(&self, technology: Technology, granted: CategorySet) -> bool {
        self.category(technology).is_none_or(|category| policy::permits(granted, category))
    }
}

impl Default for Technologies {
    fn default() -> Self {
        let mut technologies = Self {
            categories: [None; Technology::COUNT],
            alternative_services: AlternativeServices::Clear,
        };
        for (technology, category) in [
            (Technology::Nel, Category::ANALYTICS),
            (Technology::Reporting, Category::ANALYTICS),
            (Technology::AttributionReporting, Category::TARGETING),
            (Technology::Topics, Category::TARGETING),
            (Technology::AdAuctions, Category::TARGETING),
            (Technology::SharedStorage, Category::TARGETING),
            (Technology::PrivateStateTokens, Category::TARGETING),
            (Technology::ClientHints, Category::FUNCTIONAL),
            (Technology::Dictionaries, Category::FUNCTIONAL),
            (Technology::NavigationPreload, Category::FUNCTIONAL),
            (Technology::MediaMetrics, Category::ANALYTICS),
            (Technology::SubscriberIds, Category::TARGETING),
            (Technology::BeaconETag, Category::ANALYTICS),
        ] {
            technologies.set(technology, Some(category));
        }
        technologies
    }
}
