//! Tracking technologies other than cookies that use header fields, and their categories.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::consent::{Category, CategorySet};
use crate::policy;

/// A tracking technology that uses header fields. `docs/fields.md` lists the fields of each.
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
    /// The value of `Service-Worker-Navigation-Preload`, which scripts set and browsers store (W3C Service
    /// Workers).
    NavigationPreload,
    /// `CMCD-*`: reports of media players about a playback session (CTA-5004).
    MediaMetrics,
    /// Identifiers that mobile networks insert, such as `X-UIDH`.
    SubscriberIds,
    /// `ETag` and `Last-Modified` of beacon responses, which the next request returns as an identifier (RFC 9110
    /// section 17.13 on fingerprinting, 8.8.3 on entity tags).
    BeaconETag,
    /// `Set-Login` (W3C Login Status API).
    LoginStatus,
    /// `Secure-Session-*` (W3C Device Bound Session Credentials) and token binding (RFC 8473).
    DeviceBoundSessions,
    /// Advertising features that `Permissions-Policy` can deny to a page (W3C Permissions Policy).
    PermissionsPolicy,
    /// URLs of pages that other sites get in `Referer`, unless `Referrer-Policy` withholds them (W3C Referrer
    /// Policy).
    ReferrerPolicy,
}

/// The categories of tracking technologies. `None` for those that always pass.
#[derive(Debug, Clone, Copy)]
pub struct Technologies {
    /// [`Technology::Nel`].
    pub nel: Option<Category>,
    /// [`Technology::Reporting`].
    pub reporting: Option<Category>,
    /// [`Technology::AttributionReporting`].
    pub attribution_reporting: Option<Category>,
    /// [`Technology::Topics`].
    pub topics: Option<Category>,
    /// [`Technology::AdAuctions`].
    pub ad_auctions: Option<Category>,
    /// [`Technology::SharedStorage`].
    pub shared_storage: Option<Category>,
    /// [`Technology::PrivateStateTokens`].
    pub private_state_tokens: Option<Category>,
    /// [`Technology::ClientHints`].
    pub client_hints: Option<Category>,
    /// [`Technology::Dictionaries`].
    pub dictionaries: Option<Category>,
    /// [`Technology::NavigationPreload`].
    pub navigation_preload: Option<Category>,
    /// [`Technology::MediaMetrics`].
    pub media_metrics: Option<Category>,
    /// [`Technology::SubscriberIds`].
    pub subscriber_ids: Option<Category>,
    /// [`Technology::BeaconETag`].
    pub beacon_etag: Option<Category>,
    /// [`Technology::LoginStatus`].
    pub login_status: Option<Category>,
    /// [`Technology::DeviceBoundSessions`].
    pub device_bound_sessions: Option<Category>,
    /// [`Technology::PermissionsPolicy`].
    pub permissions_policy: Option<Category>,
    /// [`Technology::ReferrerPolicy`].
    pub referrer_policy: Option<Category>,
    /// The handling of fields that direct the next request to another server.
    pub alternative_services: AlternativeServices,
}

/// What happens to fields that lead the next request to another server, such as `Alt-Svc` (RFC 7838).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AlternativeServices {
    /// They are removed, and browsers forget earlier ones (`Alt-Svc: clear`).
    Clear,
    /// They pass.
    Keep,
}

impl Technologies {
    /// The category of a technology. `None` if it always passes.
    pub fn category(&self, technology: Technology) -> Option<Category> {
        match technology {
            Technology::Nel => self.nel,
            Technology::Reporting => self.reporting,
            Technology::AttributionReporting => self.attribution_reporting,
            Technology::Topics => self.topics,
            Technology::AdAuctions => self.ad_auctions,
            Technology::SharedStorage => self.shared_storage,
            Technology::PrivateStateTokens => self.private_state_tokens,
            Technology::ClientHints => self.client_hints,
            Technology::Dictionaries => self.dictionaries,
            Technology::NavigationPreload => self.navigation_preload,
            Technology::MediaMetrics => self.media_metrics,
            Technology::SubscriberIds => self.subscriber_ids,
            Technology::BeaconETag => self.beacon_etag,
            Technology::LoginStatus => self.login_status,
            Technology::DeviceBoundSessions => self.device_bound_sessions,
            Technology::PermissionsPolicy => self.permissions_policy,
            Technology::ReferrerPolicy => self.referrer_policy,
        }
    }

    /// Whether these granted categories permit a technology.
    pub fn permits(&self, technology: Technology, granted: CategorySet) -> bool {
        self.category(technology).is_none_or(|category| policy::permits(granted, category))
    }
}
