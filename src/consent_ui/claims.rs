//! Facts that the sentences of the notice, the preference centre and the banner depend on. The facts
//! come from the site's settings, and from the signals and region of the visitor. docs/notice.md
//! lists the sentences.

use http::header::HeaderMap;

use super::context::SiteContext;
use super::request_info::RequestInfo;
use crate::config::settings::{FilterSettings, Mode, UrlIdentifiers};
use crate::consent::sources::{Native, NativeCookie};
use crate::consent::{CategorySet, ConsentReader, Signals};
use crate::cookie::Cookies;
use crate::locale::{Locale, Texts, fill};

/// The longest time between a recorded choice and the page that confirms it, in seconds.
const CONFIRMED_FOR: i64 = 300;

/// What is true for a visitor of the site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claims {
    /// Nothing is blocked or deleted.
    pub(super) observes: bool,
    /// The categories also apply to storage and content in pages.
    pub(super) guards_pages: bool,
    /// Identifiers in URLs are removed without consent.
    pub(super) removes_identifiers: bool,
    /// Cookies without consent are deleted.
    pub(super) deletes_cookies: bool,
    /// Global Privacy Control is honoured.
    pub(super) honours_gpc: bool,
    /// Unclassified cookies pass only with consent to every category.
    pub(super) restricts_unclassified: bool,
    /// Choices made on consentry's pages are effective.
    pub(super) decides_here: bool,
    /// The visitor's region allows categories until refused.
    pub(super) is_opt_out: bool,
}

impl Claims {
    pub(super) fn new(site: &SiteContext, headers: &HeaderMap, info: RequestInfo) -> Self {
        let (settings, reader) = (site.filter.settings(), site.reader());
        let enforces = settings.mode == Mode::Enforce;
        let region = reader.region_of(headers, info.trusted);
        Self {
            observes: !enforces,
            guards_pages: enforces && site.guards_pages,
            removes_identifiers: enforces && settings.url_identifiers != UrlIdentifiers::Off,
            deletes_cookies: enforces && settings.expire.enabled,
            honours_gpc: honours_gpc(settings),
            restricts_unclassified: enforces
                && !settings.policy.permits_unclassified(CategorySet::NECESSARY),
            decides_here: reader.reads_own_cookie(),
            is_opt_out: reader.default_in(region) != CategorySet::NECESSARY,
        }
    }

    /// Whether a choice made on consentry's pages takes effect immediately.
    pub(super) fn takes_effect(self) -> bool {
        self.decides_here && !self.observes
    }

    /// The preference centre's heading, and the text of links to it. California requires "Your
    /// Privacy Choices" for a link to all opt-outs (11 CCR section 7015).
    pub(super) fn centre_title(self, texts: &Texts) -> &str {
        if self.is_opt_out { &texts.privacy_choices } else { &texts.preferences_title }
    }
}

/// Whether Global Privacy Control denies categories.
pub(super) fn honours_gpc(settings: &FilterSettings) -> bool {
    settings.mode == Mode::Enforce && settings.reader.signals.gpc_denies != CategorySet::EMPTY
}

/// The signals of the visitor that deny categories, in sentences. Empty in observe mode.
///
/// California requires a site to show that it honours an opt-out signal (11 CCR section 7025(c)(6)).
pub(super) fn honoured_signals(
    site: &SiteContext,
    locale: &Locale,
    signals: Signals,
) -> Vec<String> {
    if site.filter.settings().mode == Mode::Observe {
        return Vec::new();
    }
    let reader = site.reader();
    let gpc = reader.signals.denied_by(Signals { dnt: false, ..signals });
    let dnt = reader.signals.denied_by(signals).difference(gpc);
    let sentence = |(text, denied): (&String, CategorySet)| {
        let names = locale.list(reader.categories.names_of(denied));
        fill(text, &[("categories", &names)]).into_owned()
    };
    let all = [(&locale.texts.gpc, gpc), (&locale.texts.dnt, dnt)];
    all.into_iter().filter(|(_, denied)| *denied != CategorySet::EMPTY).map(sentence).collect()
}

/// Whether the browser has stored a choice that was made a moment ago.
pub(super) fn has_just_saved(reader: &ConsentReader, headers: &HeaderMap, now: i64) -> bool {
    let cookies = Cookies::of(headers);
    let mut copies = cookies.values(Native::COOKIE.as_bytes());
    copies.any(|value| {
        let cookie = NativeCookie::parse(value, &reader.categories);
        cookie.is_ok_and(|cookie| {
            (0..=CONFIRMED_FOR).contains(&now.saturating_sub(cookie.decided_at))
        })
    })
}
