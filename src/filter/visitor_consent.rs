//! The consent of a request's visitor, for the application behind the layer.

use std::sync::Arc;

use http::HeaderValue;

use super::response;
use super::site_filter::Filter;
use crate::clock::unix_now;
use crate::consent::Consent;
use crate::policy;

/// The consent of a request's visitor, which the layer adds to the request extensions. It uses the
/// rules and settings that the layer applies to the response. With `mode = "observe"`, it uses
/// those that the layer would apply.
///
/// ```
/// use consentry::filter::VisitorConsent;
///
/// fn analytics_tag(consent: &VisitorConsent) -> &'static str {
///     if consent.allows("analytics") { "<script src=\"/analytics.js\"></script>" } else { "" }
/// }
/// # let _ = analytics_tag;
/// ```
#[derive(Debug, Clone)]
pub struct VisitorConsent {
    filter: Arc<Filter>,
    consent: Consent,
}

impl VisitorConsent {
    pub(super) fn new(filter: Arc<Filter>, consent: Consent) -> Self {
        Self { filter, consent }
    }

    /// Whether a category may be used, by its name in the config. `false` for unknown names.
    pub fn allows(&self, category: &str) -> bool {
        let category = self.filter.settings.reader.categories.find(category);
        category.is_some_and(|category| policy::permits(self.consent.granted, category))
    }

    /// Whether a session cookie of this name without attributes may be set. For other cookies, see
    /// [`allows_set_cookie`](Self::allows_set_cookie).
    pub fn allows_cookie(&self, name: &str) -> bool {
        self.allows_set_cookie(&format!("{name}=1"))
    }

    /// Whether a `Set-Cookie` line passes in a response that sets no other cookie. The rules of
    /// some frameworks require certain attributes, or cookies that are set together.
    pub fn allows_set_cookie(&self, line: &str) -> bool {
        let line = HeaderValue::from_str(line);
        line.is_ok_and(|line| response::permits(&self.filter, &self.consent, line, unix_now()))
    }

    /// Whether the visitor has decided and must not be asked again.
    pub fn is_decided(&self) -> bool {
        self.consent.is_decided()
    }

    /// The consent in detail, with its source, time and reason.
    pub fn details(&self) -> &Consent {
        &self.consent
    }
}
