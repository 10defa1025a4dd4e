//! Consent reader: evaluates a request's cookies and signals. Takes the order of the sources, the
//! age of the decision, the notice date and the default into account.
//!
//! Age and notice date only end grants. A refusal ends only with a new decision of the visitor.

use time::{Date, OffsetDateTime};

use super::merge::{Merged, ValidatedDecision};
use super::own_cookie::{MAX_LIFETIME_DAYS, OwnCookie};
use super::source::{ConsentSource, Reading, SourceDecision, Void};
use super::sources::{self, GrantLifetime, reads_own_cookie};
use super::status::{Consent, Reason};
use super::{Categories, CategorySet, RegionPolicy, SignalPolicy, Signals};
use crate::cookie::Cookies;
use crate::http::Fields;

/// Clock skew allowed for decisions, in seconds. Clocks differ, and some tools write the visitor's
/// local time.
const CLOCK_TOLERANCE_SECONDS: i64 = DAY_SECONDS;
const DAY_SECONDS: i64 = 24 * 60 * 60;

/// The consent reader of a site. Built once from the config.
#[derive(Debug)]
pub struct ConsentReader {
    /// The site's categories.
    pub categories: Categories,
    /// The sources in order. The first one with a decision wins.
    pub sources: Vec<Box<dyn ConsentSource>>,
    /// The categories granted without a decision.
    pub default: CategorySet,
    /// Set if the default depends on the visitor's region.
    pub region: Option<RegionPolicy>,
    /// Lifetime of grants in the native cookie, in days. Without `tool_lifetimes`, of all grants.
    pub max_age_days: u32,
    /// Whether grants in the cookies of other tools last as long as the tool itself keeps them.
    pub tool_lifetimes: bool,
    /// Days until a visitor who refused may be asked again.
    pub ask_again_days: u32,
    /// The date of the current notice. Earlier decisions grant nothing.
    pub notice_date: Option<Date>,
    /// The categories denied by browser signals.
    pub signals: SignalPolicy,
    /// Domain and keys of the native cookie.
    pub own: OwnCookie,
}

impl ConsentReader {
    /// Reads the visitor's consent.
    ///
    /// `now` is in Unix seconds. `region` is the value sent by a trusted proxy. The site's default
    /// applies if the decision is malformed, outdated or missing. Signals restrict decisions and
    /// defaults.
    pub fn read(
        &self,
        cookies: &Cookies<'_>,
        signals: Signals,
        region: Option<&[u8]>,
        now: i64,
    ) -> Consent {
        let mut consent = self.read_sources(cookies, self.default_in(region), now);
        consent.granted = consent
            .granted
            .difference(self.signals.denied_by(signals))
            .union(CategorySet::NECESSARY);
        consent
    }

    /// The value of the region header, if configured and trusted.
    pub fn region_of<'a>(&self, fields: &'a impl Fields, trusted: bool) -> Option<&'a [u8]> {
        let region = self.region.as_ref().filter(|_| trusted)?;
        fields.value(&region.header)
    }

    /// The name of the source with the effective decision.
    pub fn source_name(&self, consent: &Consent) -> Option<&'static str> {
        self.sources.get(consent.source()?).map(|source| source.name())
    }

    /// How long grants in this tool's cookie last.
    pub fn lifetime_of(&self, tool: &str) -> GrantLifetime {
        match sources::tool(tool)
            .map_or(GrantLifetime::Days(self.max_age_days), |tool| tool.lifetime)
        {
            GrantLifetime::Days(_) if !self.tool_lifetimes || reads_own_cookie(tool) => {
                GrantLifetime::Days(self.max_age_days)
            }
            lifetime => lifetime,
        }
    }

    /// Whether choices in the consent UI are effective, because one of the sources reads the native
    /// cookie.
    pub fn reads_own_cookie(&self) -> bool {
        self.sources.iter().any(|source| reads_own_cookie(source.name()))
    }

    /// The categories granted without a decision in a region, as sent by a trusted proxy.
    pub fn default_in(&self, region: Option<&[u8]>) -> CategorySet {
        match &self.region {
            None => self.default,
            Some(policy) => policy.granted(region),
        }
    }

    /// Reads the sources: the first one with a decision wins. In addition, refusals in the consent
    /// UI stay in force. The native cookie decides about categories that the winning source does
    /// not mention.
    fn read_sources(&self, cookies: &Cookies<'_>, default: CategorySet, now: i64) -> Consent {
        let mut consent = Consent::undecided(default);
        let mut winner: Option<Merged> = None;
        // Refusals of ended decisions restrict the default. Refusals in the consent UI restrict
        // every source.
        let (mut withheld, mut own_denied) = (CategorySet::EMPTY, CategorySet::EMPTY);
        let mut own_granted = CategorySet::EMPTY;
        for (index, source) in self.sources.iter().enumerate() {
            if winner.is_some() && !reads_own_cookie(source.name()) {
                continue;
            }
            let merged = match source.read(cookies, &self.categories) {
                Reading::NoDecision => continue,
                Reading::Malformed => Merged::nothing(Reason::Malformed),
                Reading::Decisions(decisions) => self.merge(&decisions, source.name(), now),
            };
            own_denied = own_denied.union(merged.own_denied);
            if winner.is_some() {
                own_granted = own_granted.union(merged.own_granted);
                continue;
            }
            withheld = withheld.union(merged.withheld);
            if merged.reason == Reason::Decided || consent.reason == Reason::NoDecision {
                // Without a decision, the first reason is reported.
                let Merged { reason, tool, decided_at, .. } = merged;
                consent = Consent { found: Some(index), reason, tool, decided_at, ..consent };
            }
            consent.refused_vendors = consent.refused_vendors.union(merged.refused_vendors);
            if merged.reason == Reason::Decided {
                consent.refused_vendors = merged.refused_vendors;
                winner = Some(merged);
            }
        }
        let default = default.difference(withheld);
        let Some(winner) = winner else {
            consent.granted = default.difference(own_denied);
            return consent;
        };
        let granted = winner.granted.union(own_granted).union(default).difference(winner.denied);
        consent.granted = granted.difference(own_denied);
        consent.refused_here = granted.difference(consent.granted);
        consent
    }

    fn merge(&self, decisions: &[SourceDecision], source: &str, now: i64) -> Merged {
        let validated = decisions.iter().map(|decision| {
            let (grants, reason) = self.validate(decision, decision.tool.unwrap_or(source), now);
            ValidatedDecision { decision, grants, reason }
        });
        Merged::of(validated, self.categories.all())
    }

    /// Whether the grants of a decision are valid, and whether it is active or why the visitor is
    /// asked again.
    ///
    /// A decision that only refuses is active until `ask_again_days`, whatever its notice. A
    /// decision with expired grants and at least one refusal stays active until then as well.
    fn validate(&self, decision: &SourceDecision, tool: &str, now: i64) -> (bool, Reason) {
        let ended = self.end_of_grants(decision, tool, now);
        let refuses = decision.denied != CategorySet::EMPTY;
        let grants = decision.granted.difference(CategorySet::NECESSARY) != CategorySet::EMPTY;
        let ask_again =
            decision.decided_at.is_some_and(|at| is_older(at, self.ask_again_days, now));
        let reason = match ended {
            Some(Reason::Unsigned) => Reason::Unsigned,
            _ if refuses && !grants && ask_again => Reason::AskAgain,
            _ if refuses && !grants => Reason::Decided,
            Some(Reason::Expired) if refuses && !ask_again => Reason::Decided,
            Some(reason) => reason,
            None => Reason::Decided,
        };
        (ended.is_none(), reason)
    }

    /// Why the grants of a decision have ended, if they have.
    fn end_of_grants(&self, decision: &SourceDecision, tool: &str, now: i64) -> Option<Reason> {
        match decision.void {
            Some(Void::Unsigned) => return Some(Reason::Unsigned),
            Some(Void::OtherRevision) => return Some(Reason::OldNotice),
            None => {}
        }
        if let Some(decided_at) = decision.decided_at {
            if decided_at > now.saturating_add(CLOCK_TOLERANCE_SECONDS) {
                return Some(Reason::FromTheFuture);
            }
            if is_older(decided_at, self.max_age_of(decision, tool), now) {
                return Some(Reason::Expired);
            }
        }
        if decision.ends_at.is_some_and(|end| end < now) {
            return Some(Reason::Expired);
        }
        let notice = self.notice_date?;
        let notice_start = notice.midnight().assume_utc();
        let made_before = decision
            .decided_at
            .and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok())
            .is_some_and(|at| at < notice_start);
        let saw_older = decision.notice_date.is_some_and(|seen| seen < notice);
        (made_before || saw_older).then_some(Reason::OldNotice)
    }

    /// The longest that the grants of a decision last, in days.
    fn max_age_of(&self, decision: &SourceDecision, tool: &str) -> u32 {
        if !self.tool_lifetimes || decision.own {
            return self.max_age_days;
        }
        match self.lifetime_of(tool) {
            GrantLifetime::Days(days) => days,
            // The site chose the end in the tool's settings.
            GrantLifetime::Written if decision.ends_at.is_some() => MAX_LIFETIME_DAYS,
            GrantLifetime::Written | GrantLifetime::Cookie => self.max_age_days,
        }
    }
}

/// Whether more than this many days have passed since `at`, in Unix seconds.
pub fn is_older(at: i64, days: u32, now: i64) -> bool {
    now.saturating_sub(at) > i64::from(days) * DAY_SECONDS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::{Category, sources};
    use time::Month;

    const NOW: i64 = 1_795_500_000;

    fn reader(default: CategorySet) -> ConsentReader {
        ConsentReader {
            categories: Categories::default(),
            sources: vec![
                sources::find("consentry", &std::collections::HashMap::new()).expect("it exists"),
            ],
            default,
            region: None,
            max_age_days: 182,
            tool_lifetimes: true,
            ask_again_days: 184,
            own: OwnCookie::default(),
            notice_date: Date::from_calendar_date(2018, Month::May, 25).ok(),
            signals: SignalPolicy {
                gpc_denies: [Category::TARGETING, Category::SOCIAL].into_iter().collect(),
                dnt_denies: CategorySet::EMPTY,
            },
        }
    }

    fn read(header: &str, default: CategorySet) -> (Vec<String>, Reason) {
        let reader = reader(default);
        let consent =
            reader.read(&Cookies::new([header.as_bytes()]), Signals::default(), None, NOW);
        let names = reader.categories.names_of(consent.granted);
        (names.into_iter().map(str::to_owned).collect(), consent.reason)
    }

    const ALL: &str = "functional+analytics+targeting+social";

    fn stamp(at: i64, notice: &str, granted: &str) -> String {
        format!("consentry=1~{at}~{notice}~{granted}~")
    }

    #[test]
    fn every_missing_or_invalid_decision_falls_back_to_the_default() {
        let cases = [
            ("a=1".to_owned(), Reason::NoDecision),
            ("consentry=junk".to_owned(), Reason::Malformed),
            (stamp(NOW - 183 * 86_400, "2018-05-25", ALL), Reason::Expired),
            (stamp(NOW + 2 * 86_400, "2018-05-25", ALL), Reason::FromTheFuture),
            (stamp(NOW, "2018-05-24", ALL), Reason::OldNotice),
        ];
        for (header, reason) in cases {
            assert_eq!(read(&header, CategorySet::NECESSARY), (vec!["necessary".into()], reason));
            let (all, _) = read(&header, Categories::default().all());
            assert_eq!(all.len(), 5, "{header}");
        }
    }

    #[test]
    fn a_grant_lasts_as_long_as_its_tool_keeps_it_and_a_configured_age_overrides_that() {
        const DAY: i64 = 86_400;
        let cookiebot = |age: i64| {
            let time = (NOW - age) * 1000;
            format!("CookieConsent={{stamp:'x',statistics:true,marketing:true,utc:{time}}}")
        };
        let hu = |age: i64, days: i64| {
            let (answers, time) = ("{\"3\":true}", (NOW - age) * 1000);
            format!(
                "hu-consent={{\"consent\":true,\"categories\":{answers},\"expiry\":{days},\"timestamp\":{time}}}"
            )
        };
        let borlabs = |end: &str| {
            format!(
                "borlabs-cookie={{\"consents\":{{\"statistics\":[\"a\"]}},\"expires\":\"{end}\"}}"
            )
        };
        for (source, header, by_tool, configured) in [
            ("cookiebot", cookiebot(365 * DAY), Reason::Decided, Reason::Expired),
            ("cookiebot", cookiebot(365 * DAY + 1), Reason::Expired, Reason::Expired),
            ("auto", cookiebot(365 * DAY), Reason::Decided, Reason::Expired),
            ("auto", cookiebot(365 * DAY + 1), Reason::Expired, Reason::Expired),
            (
                "auto",
                stamp(NOW - 182 * DAY - 1, "2018-05-25", ALL),
                Reason::Expired,
                Reason::Expired,
            ),
            // The end in the cookie holds, up to the longest lifetime of a cookie.
            ("hu-consent", hu(300 * DAY, 300), Reason::Decided, Reason::Expired),
            ("hu-consent", hu(31 * DAY, 30), Reason::Expired, Reason::Expired),
            ("hu-consent", hu(400 * DAY, 4000), Reason::Decided, Reason::Expired),
            ("hu-consent", hu(401 * DAY, 4000), Reason::Expired, Reason::Expired),
            ("hu-consent", hu(182 * DAY, 0), Reason::Decided, Reason::Decided),
            ("hu-consent", hu(183 * DAY, 0), Reason::Expired, Reason::Expired),
            ("borlabs", borlabs("Mon, 18 Jan 2027 11:00:00 GMT"), Reason::Decided, Reason::Decided),
            ("borlabs", borlabs("Sun, 18 Jan 2026 11:00:00 GMT"), Reason::Expired, Reason::Expired),
        ] {
            let mut reader = reader(CategorySet::NECESSARY);
            let settings = std::collections::HashMap::new();
            reader.sources = vec![sources::find(source, &settings).expect("it exists")];
            for (tool_lifetimes, expected) in [(true, by_tool), (false, configured)] {
                reader.tool_lifetimes = tool_lifetimes;
                let cookies = Cookies::new([header.as_bytes()]);
                let consent = reader.read(&cookies, Signals::default(), None, NOW);
                let grants = consent.granted.contains(Category::ANALYTICS);
                let is_decided = expected == Reason::Decided;
                assert_eq!(grants, is_decided, "{source} {tool_lifetimes}: {header}");
                // A refusal in the same cookie stays in force, and so does the decision.
                if source != "borlabs" || is_decided {
                    assert_eq!(consent.reason, expected, "{source} {tool_lifetimes}: {header}");
                }
            }
        }
    }

    #[test]
    fn a_decision_grants_up_to_the_last_second_of_its_age() {
        let at = |age: i64| stamp(NOW - age, "2018-05-25", ALL);
        assert_eq!(read(&at(182 * 86_400), CategorySet::NECESSARY).1, Reason::Decided);
        assert_eq!(read(&at(182 * 86_400 + 1), CategorySet::NECESSARY).1, Reason::Expired);
        let ahead = |seconds| read(&stamp(NOW + seconds, "2018-05-25", ALL), CategorySet::EMPTY).1;
        assert_eq!(ahead(86_400), Reason::Decided, "clocks differ");
        assert_eq!(ahead(86_401), Reason::FromTheFuture);
    }

    #[test]
    fn a_refusal_never_expires_and_the_banner_returns_in_time() {
        let days = |days: i64| NOW - days * 86_400;
        let (new, old) = ("2018-05-25", "2018-05-24");
        // The refused categories, and whether the visitor is asked again.
        for (granted, at, notice, refused, reason) in [
            ("", days(1), new, "functional analytics targeting social", Reason::Decided),
            ("", days(1), old, "functional analytics targeting social", Reason::Decided),
            ("", days(184), new, "functional analytics targeting social", Reason::Decided),
            ("", days(185), new, "functional analytics targeting social", Reason::AskAgain),
            ("", days(5_000), old, "functional analytics targeting social", Reason::AskAgain),
            ("", days(-5), new, "functional analytics targeting social", Reason::Decided),
            ("analytics", days(1), old, "functional targeting social", Reason::OldNotice),
            ("analytics", days(183), new, "functional targeting social", Reason::Decided),
            ("analytics", days(185), new, "functional targeting social", Reason::Expired),
            ("analytics", days(-5), new, "functional targeting social", Reason::FromTheFuture),
        ] {
            let header = stamp(at, notice, granted);
            let (allowed, found) = read(&header, Categories::default().all());
            let kept = allowed.iter().map(String::as_str);
            let lost = ["functional", "analytics", "targeting", "social"];
            let lost: Vec<&str> =
                lost.into_iter().filter(|name| !kept.clone().any(|kept| kept == *name)).collect();
            assert_eq!((lost.join(" "), found), (refused.to_owned(), reason), "{header}");
            let (denied, _) = read(&header, CategorySet::NECESSARY);
            assert_eq!(denied, ["necessary"], "{header}: nothing that ended is granted");
        }
    }

    #[test]
    fn categories_unknown_to_a_tool_keep_the_grants_of_another_and_a_refusal_wins() {
        let mut reader = reader(CategorySet::NECESSARY);
        reader.sources =
            vec![sources::find("auto", &std::collections::HashMap::new()).expect("it exists")];
        let names = |header: &str| {
            let consent =
                reader.read(&Cookies::new([header.as_bytes()]), Signals::default(), None, NOW);
            reader.categories.names_of(consent.granted).join(" ")
        };
        assert_eq!(
            names("usprivacy=1YNN; cookieconsent_status=allow"),
            "necessary functional analytics targeting social"
        );
        assert_eq!(
            names("usprivacy=1YYN; cookieconsent_status=allow"),
            "necessary functional analytics"
        );
        assert_eq!(names("usprivacy=1YNN"), "necessary", "it can only take away");
        assert_eq!(names("wp_consent_statistics=allow; cmplz_statistics=deny"), "necessary");
        assert_eq!(names("cookieconsent_status=dismiss; cc_cookie=x"), "necessary");
    }

    #[test]
    fn the_stricter_of_two_conflicting_cookies_applies() {
        let header = format!(
            "consentry=1~{NOW}~2018-05-25~analytics+social~; consentry=1~{NOW}~2018-05-25~social+targeting~"
        );
        let (granted, _) = read(&header, CategorySet::NECESSARY);
        assert_eq!(granted, ["necessary", "social"]);
    }

    #[test]
    fn the_oldest_active_copy_sets_the_time_and_expired_copies_are_ignored() {
        let reader = reader(CategorySet::NECESSARY);
        let at = |age: i64| stamp(NOW - age, "2018-05-25", ALL);
        let (old, new, ended) = (at(5 * 86_400), at(86_400), at(400 * 86_400));
        for header in [format!("{old}; {new}; {ended}"), format!("{ended}; {new}; {old}")] {
            let cookies = Cookies::new([header.as_bytes()]);
            let consent = reader.read(&cookies, Signals::default(), None, NOW);
            assert_eq!(consent.decided_at, Some(NOW - 5 * 86_400), "{header}");
        }
    }

    #[test]
    fn unreadable_and_expired_copies_are_ignored_beside_a_valid_one() {
        let header = format!(
            "consentry=junk; consentry=1~1000000000~2018-05-25~~; consentry=1~{NOW}~2018-05-25~social~"
        );
        assert_eq!(
            read(&header, CategorySet::NECESSARY),
            (vec!["necessary".into(), "social".into()], Reason::Decided)
        );
    }

    #[test]
    fn global_privacy_control_denies_targeting_and_social_but_not_necessary() {
        let reader = reader(Categories::default().all());
        let header = format!("consentry=1~{NOW}~2018-05-25~analytics+targeting+social~");
        for cookies in [header.as_str(), ""] {
            let consent = reader.read(
                &Cookies::new([cookies.as_bytes()]),
                Signals { gpc: true, dnt: false },
                None,
                NOW,
            );
            assert!(consent.granted.contains(Category::NECESSARY));
            assert!(consent.granted.contains(Category::ANALYTICS));
            assert!(!consent.granted.contains(Category::TARGETING));
            assert!(!consent.granted.contains(Category::SOCIAL));
        }
    }

    #[test]
    fn a_refusal_applies_where_the_default_allows() {
        let header = format!("consentry=1~{NOW}~2018-05-25~~");
        assert_eq!(read(&header, Categories::default().all()).0, ["necessary"]);
    }
}
