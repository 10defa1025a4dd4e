//! Real Cookie Banner: `real_cookie_banner-…`, the accepted services of each group. The ids of groups are specific to
//! the site, so they need `map`. Cookies with the suffix `-gcm` list the granted signals of Google Consent Mode, those
//! with `-tcf` contain a TC string.

use serde_json::Value;

use crate::consent::common_formats::CONSENT_MODE;
use crate::consent::source::{ConsentSource, Reading, SourceSettings};
use crate::consent::tcf::TcStrings;
use crate::consent::{Categories, IdMap, Votes, decode};
use crate::cookie::Cookies;

/// Prefix of the cookie names. Version, blog, path and language follow.
const PREFIX: &[u8] = b"real_cookie_banner-";
/// The cookie names, of current and older versions.
const NAMES: [&str; 2] =
    ["real_cookie_banner-v:{digits}_blog:{digits}*", "real_cookie_banner-blog:{digits}*"];

/// The content of a cookie, by its suffix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CookieContent {
    Groups,
    Signals,
    TcString,
    Other,
}

/// Reads Real Cookie Banner's cookies.
#[derive(Debug)]
pub(super) struct RealCookieBanner {
    map: IdMap,
    tc_strings: TcStrings,
    settings: SourceSettings,
}

/// The accepted services by group, with the time of the decision and the revision.
struct Groups {
    decided_at: Option<i64>,
    revision: Value,
    accepted: Vec<String>,
}

impl RealCookieBanner {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        // Ids of groups are numbers, like those of purposes.
        let purposes = SourceSettings { map: Vec::new(), ..settings.clone() };
        Self {
            map: IdMap::new(CONSENT_MODE, &settings.map),
            tc_strings: TcStrings::new(&purposes),
            settings: settings.clone(),
        }
    }

    fn read_groups(&self, value: &[u8]) -> Option<Reading> {
        let groups = Groups::parse(value)?;
        let mut votes = Votes::default();
        votes.vote_configured(&self.map, |id| groups.accepted.iter().any(|it| it == id));
        Some(Reading::decision(votes, &self.map, groups.decided_at))
    }

    fn read_signals(&self, value: &[u8], decided_at: Option<i64>) -> Option<Reading> {
        let json = decode::json(value)?;
        let granted = decode::texts(&json)?;
        let mut votes = Votes::default();
        for (signal, _) in CONSENT_MODE {
            votes.vote(self.map.categories(signal), granted.contains(signal));
        }
        Some(Reading::decision(votes, &self.map, decided_at))
    }
}

impl Groups {
    /// Parses `CREATED:UUID,UUID:REVISION:{"group":[service]}`, in which the first part is optional.
    fn parse(value: &[u8]) -> Option<Self> {
        let text = decode::percent(value)?;
        let (head, json) = text.split_at_checked(text.find('{')?)?;
        let mut parts = head.strip_suffix(':')?.rsplit(':');
        let (revision, _uuids, created) = (parts.next()?, parts.next()?, parts.next());
        if parts.next().is_some() {
            return None;
        }
        let mut accepted = Vec::new();
        for (group, services) in decode::parse_json(json)?.as_object()? {
            for service in services.as_array()? {
                let service = match service {
                    Value::Number(number) => number.to_string(),
                    Value::String(text) => text.clone(),
                    _ => return None,
                };
                accepted.push(format!("{group}.{service}"));
                accepted.push(group.clone());
            }
        }
        let decided_at = created.and_then(decode::time_text);
        Some(Self { decided_at, revision: revision.into(), accepted })
    }
}

/// The content of a cookie, by the part of its name after the prefix.
fn content(rest: &[u8]) -> CookieContent {
    let is_named = rest.starts_with(b"v:") || rest.starts_with(b"blog:");
    let suffixes = [(&b"-gcm"[..], CookieContent::Signals), (b"-tcf", CookieContent::TcString)];
    let suffixes = suffixes
        .into_iter()
        .chain([(&b"-test"[..], CookieContent::Other), (b"-consent-queue", CookieContent::Other)]);
    let mut found = suffixes.filter(|(suffix, _)| rest.ends_with(suffix));
    match found.next() {
        _ if !is_named => CookieContent::Other,
        Some((_, content)) => content,
        None => CookieContent::Groups,
    }
}

impl ConsentSource for RealCookieBanner {
    fn name(&self) -> &'static str {
        "real-cookie-banner"
    }

    fn cookie_names(&self) -> Vec<String> {
        NAMES.map(str::to_owned).to_vec()
    }

    fn read(&self, cookies: &Cookies<'_>, _: &Categories) -> Reading {
        let of = |wanted: CookieContent| {
            let named = cookies.beginning_with(PREFIX);
            named.filter(move |(rest, _)| content(rest) == wanted).map(|(_, value)| value)
        };
        let groups = || of(CookieContent::Groups).filter_map(Groups::parse);
        let decided_at = groups().filter_map(|groups| groups.decided_at).min();
        let is_current = |groups: Groups| self.settings.is_in_force(Some(&groups.revision));
        // Only the cookie with the groups contains the revision.
        let in_force = self.settings.revision.is_none()
            || (groups().next().is_some() && groups().all(is_current));
        Reading::of_copies(of(CookieContent::Groups), |value| {
            self.read_groups(value).unwrap_or(Reading::Malformed)
        })
        .and(Reading::of_copies(of(CookieContent::Signals), |value| {
            self.read_signals(value, decided_at).unwrap_or(Reading::Malformed)
        }))
        .and(Reading::of_copies(of(CookieContent::TcString), |value| match decode::text(value) {
            Some(text) => self.tc_strings.read(text),
            None => Reading::Malformed,
        }))
        .in_revision(in_force)
    }
}
