//! The consent of a request's visitor, for the application behind the layer.

use std::sync::Arc;

use http::HeaderValue;

use super::clock::unix_now;
use super::response;
use super::state::Filter;
use crate::consent::Consent;
use crate::policy;

/// The consent of a request's visitor: the layer adds it to the request's extensions. It answers by the rules and settings
/// that the layer applies to the response to this request; with `mode = "observe"`, by those that it would apply.
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

    /// Whether a session cookie of this name may be set, with no attributes. For other cookies, see
    /// [`allows_set_cookie`](Self::allows_set_cookie).
    pub fn allows_cookie(&self, name: &str) -> bool {
        self.allows_set_cookie(&format!("{name}=1"))
    }

    /// Whether a `Set-Cookie` line passes in a response that sets no other cookie: the rules of some frameworks require
    /// certain attributes, or cookies that are set together.
    pub fn allows_set_cookie(&self, line: &str) -> bool {
        let line = HeaderValue::from_str(line);
        line.is_ok_and(|line| response::permits(&self.filter, &self.consent, line, unix_now()))
    }

    /// Whether the visitor has decided, and is not to be asked again.
    pub fn is_decided(&self) -> bool {
        self.consent.is_decided()
    }

    /// The consent in detail: its source, its time and its reason.
    pub fn details(&self) -> &Consent {
        &self.consent
    }
}
