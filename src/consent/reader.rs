//! From a request's cookies and signals to what may pass: the site's sources in order, the age of
//! the decision, the date of the notice, the default without a decision.

use http::{HeaderMap, HeaderValue};
use time::{Date, OffsetDateTime};

use super::source::{ConsentSource, Reading, SourceDecision};
use super::{Categories, CategorySet, RegionPolicy, SignalPolicy, Signals, VendorSet};
use crate::cookie::Cookies;

/// How far ahead of our clock a decision may be dated, in seconds: clocks differ, and some tools
/// write the visitor's local time.
pub const CLOCK_TOLERANCE_SECONDS: i64 = 24 * 60 * 60;

/// What a visitor allowed, and how that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Consent {
    /// The categories that may pass; necessary is always in.
    pub granted: CategorySet,
    /// Of the vendors that the site's rules name, those that a TC string refuses.
    pub refused_vendors: VendorSet,
    /// The source that the reason is about, as an index into the site's sources: the one whose
    /// decision counts, or the first whose cookie does not.
    pub found: Option<usize>,
    /// The tool that wrote the decision, where the source asks several; of several the first.
    pub tool: Option<&'static str>,
    /// When the visitor made the decision that the reason is about, in Unix seconds, where the cookie
    /// carries it.
    pub decided_at: Option<i64>,
    /// Why it is so.
    pub reason: Reason,
}

impl Consent {
    /// The consent of a visitor of whom nothing is known.
    pub fn undecided(default: CategorySet) -> Self {
        Self {
            granted: default,
            refused_vendors: VendorSet::EMPTY,
            found: None,
            tool: None,
            decided_at: None,
            reason: Reason::NoDecision,
        }
    }

    /// Whether the visitor has decided, as against the site's default holding.
    pub fn is_decided(&self) -> bool {
        self.reason == Reason::Decided
    }

    /// The source whose decision counts, as an index into the site's sources.
    pub fn source(&self) -> Option<usize> {
        self.found.filter(|_| self.is_decided())
    }
}

/// Why a consent is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The visitor's decision counts.
    Decided,
    /// No source found a decision.
    NoDecision,
    /// A consent cookie is there and cannot be read.
    Malformed,
    /// The decision is older than the site keeps one.
    Expired,
    /// The decision is older than the notice.
    OldNotice,
    /// The decision is dated in the future.
    FromTheFuture,
}

impl Reason {
    /// All reasons, in the order of [`index`](Self::index).
    pub const ALL: [Self; 6] = [
        Self::Decided,
        Self::NoDecision,
        Self::Malformed,
        Self::Expired,
        Self::OldNotice,
        Self::FromTheFuture,
    ];

    /// A short name for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Decided => "decided",
            Self::NoDecision => "no_decision",
            Self::Malformed => "malformed",
            Self::Expired => "expired",
            Self::OldNotice => "old_notice",
            Self::FromTheFuture => "from_the_future",
        }
    }

    /// The position in [`ALL`](Self::ALL).
    pub fn index(self) -> usize {
        self as usize
    }
}

/// Reads a site's consent. Built once from the config.
#[derive(Debug)]
pub struct ConsentReader {
    /// The site's categories.
    pub categories: Categories,
    /// The sources, in order: the first with a decision wins.
    pub sources: Vec<Box<dyn ConsentSource>>,
    /// What is granted without a decision.
    pub default: CategorySet,
    /// Where the default depends on the visitor's region.
    pub region: Option<RegionPolicy>,
    /// How old a decision may be, in days.
    pub max_age_days: u32,
    /// The date of the notice in force; decisions made before it are none.
    pub notice_date: Option<Date>,
    /// What signals take away.
    pub signals: SignalPolicy,
}

impl ConsentReader {
    /// Reads what the visitor allowed.
    ///
    /// `now` is in Unix seconds; `region` is what a trusted proxy says of it. Unreadable, outdated or
    /// missing decisions leave the site's default; signals take away from either.
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

    /// What a request says of the visitor's region, where that is asked for and believed.
    pub fn region_of<'a>(&self, headers: &'a HeaderMap, trusted: bool) -> Option<&'a [u8]> {
        let region = self.region.as_ref().filter(|_| trusted)?;
        headers.get(&region.header).map(HeaderValue::as_bytes)
    }

    /// The name of the source whose decision counts.
    pub fn source_name(&self, consent: &Consent) -> Option<&'static str> {
        self.sources.get(consent.source()?).map(|source| source.name())
    }

    fn default_in(&self, region: Option<&[u8]>) -> CategorySet {
        match &self.region {
            None => self.default,
            Some(policy) if policy.allows(region) => self.categories.all(),
            Some(_) => CategorySet::NECESSARY,
        }
    }

    fn read_sources(&self, cookies: &Cookies<'_>, default: CategorySet, now: i64) -> Consent {
        let mut consent = Consent::undecided(default);
        for (index, source) in self.sources.iter().enumerate() {
            let said = match source.read(cookies, &self.categories) {
                Reading::NoDecision => continue,
                Reading::Malformed => {
                    Consent { found: Some(index), reason: Reason::Malformed, ..consent }
                }
                Reading::Decisions(copies) => {
                    let default = Consent { found: Some(index), ..consent };
                    self.strictest(&copies, default, now)
                }
            };
            if said.is_decided() {
                return said;
            }
            if consent.reason == Reason::NoDecision {
                // Of several causes for having no decision the first is told.
                consent = said;
            }
        }
        consent
    }

    /// What the decisions in force say together; the default, with the cause, when none is in force.
    ///
    /// A host-only and a `Domain` cookie of the same name arrive together and may disagree, and so
    /// may two tools: what one of them denies is denied. What none of them speaks of follows the
    /// default.
    fn strictest(&self, decisions: &[SourceDecision], default: Consent, now: i64) -> Consent {
        let (mut granted, mut denied) = (CategorySet::EMPTY, CategorySet::EMPTY);
        let mut consent = Consent { reason: Reason::NoDecision, decided_at: None, ..default };
        for decision in decisions {
            match (self.outdated(decision, now), consent.reason) {
                (Some(_), Reason::Decided) => {}
                (Some(outdated), Reason::NoDecision) => {
                    consent.reason = outdated;
                    consent.tool = decision.tool;
                    consent.decided_at = decision.decided_at;
                }
                (Some(_), _) => {}
                (None, so_far) => {
                    let earlier = consent.decided_at.filter(|_| so_far == Reason::Decided);
                    if so_far != Reason::Decided {
                        consent.tool = decision.tool;
                    }
                    consent.reason = Reason::Decided;
                    consent.decided_at = match (earlier, decision.decided_at) {
                        (Some(a), Some(b)) => Some(a.min(b)),
                        (a, b) => a.or(b),
                    };
                    consent.refused_vendors =
                        consent.refused_vendors.union(decision.refused_vendors);
                    granted = granted.union(decision.granted);
                    denied = denied.union(decision.denied);
                }
            }
        }
        if consent.is_decided() {
            consent.granted = granted.union(default.granted).difference(denied);
        }
        consent
    }

    fn outdated(&self, decision: &SourceDecision, now: i64) -> Option<Reason> {
        if let Some(decided_at) = decision.decided_at {
            if decided_at > now.saturating_add(CLOCK_TOLERANCE_SECONDS) {
                return Some(Reason::FromTheFuture);
            }
            let max_age_seconds = i64::from(self.max_age_days) * 24 * 60 * 60;
            if now.saturating_sub(decided_at) > max_age_seconds {
                return Some(Reason::Expired);
            }
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

    #[test]
    fn every_way_to_have_no_decision_leaves_the_default() {
        let stamp = |at: i64, notice: &str| format!("consentry=1~{at}~{notice}~analytics~");
        let cases = [
            ("a=1".to_owned(), Reason::NoDecision),
            ("consentry=junk".to_owned(), Reason::Malformed),
            (stamp(NOW - 183 * 86_400, "2018-05-25"), Reason::Expired),
            (stamp(NOW + 2 * 86_400, "2018-05-25"), Reason::FromTheFuture),
            (stamp(NOW, "2018-05-24"), Reason::OldNotice),
        ];
        for (header, reason) in cases {
            assert_eq!(read(&header, CategorySet::NECESSARY), (vec!["necessary".into()], reason));
            let (all, _) = read(&header, Categories::default().all());
            assert_eq!(all.len(), 5, "{header}");
        }
    }

    #[test]
    fn a_decision_counts_up_to_the_last_second_of_its_age() {
        let at = |age: i64| format!("consentry=1~{}~2018-05-25~social~", NOW - age);
        assert_eq!(read(&at(182 * 86_400), CategorySet::NECESSARY).1, Reason::Decided);
        assert_eq!(read(&at(182 * 86_400 + 1), CategorySet::NECESSARY).1, Reason::Expired);
    }

    #[test]
    fn what_a_tool_does_not_speak_of_takes_nothing_from_another_and_a_refusal_wins() {
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
    fn of_two_cookies_that_disagree_the_stricter_holds() {
        let header = format!(
            "consentry=1~{NOW}~2018-05-25~analytics+social~; consentry=1~{NOW}~2018-05-25~social+targeting~"
        );
        let (granted, _) = read(&header, CategorySet::NECESSARY);
        assert_eq!(granted, ["necessary", "social"]);
    }

    #[test]
    fn an_unreadable_or_outdated_copy_does_not_count_beside_a_good_one() {
        let header = format!(
            "consentry=junk; consentry=1~1000000000~2018-05-25~~; consentry=1~{NOW}~2018-05-25~social~"
        );
        assert_eq!(
            read(&header, CategorySet::NECESSARY),
            (vec!["necessary".into(), "social".into()], Reason::Decided)
        );
    }

    #[test]
    fn global_privacy_control_takes_targeting_and_social_away_and_never_necessary() {
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
    fn a_refusal_counts_where_the_default_allows() {
        let header = format!("consentry=1~{NOW}~2018-05-25~~");
        assert_eq!(read(&header, Categories::default().all()).0, ["necessary"]);
    }
}
