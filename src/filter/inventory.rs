//! Inventory of the cookies and beacons seen, classified or not, and of query parameters with a rule. Contains names, counts and
//! attributes, never values.
//!
//! Items with a rule are counted per rule, without a lock. Unclassified items are kept by name, and
//! the least recently seen are evicted. A name with a random part, or several names that differ
//! only in numbers, are generalised to a pattern.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use lru::LruCache;
use serde::Serialize;

use super::beacon_detection::BeaconPost;
use super::by_rule::ByRule;
use super::observation::{Attributes, Direction, ItemCounts, ItemDecision, Observation};
use super::session_companion::SetTogether;
use crate::catalogue::{
    BeaconRule, Catalogue, CookieRule, ParameterRule, Presumption, SessionCompanion,
    generalize_counters, generalize_name,
};
use crate::cookie::SetCookie;

/// Maximum number of unclassified names kept, separately for names that the origin sets and names
/// that only visitors sent. Also the maximum number of paths of detected beacons.
const MAX_NAMES: usize = 4096;
/// Maximum length of a name or path, in bytes. Longer ones are ignored.
const MAX_NAME_BYTES: usize = 256;

/// Unclassified items, keyed by the name with its numbers generalised.
type RecentItems = Arc<Mutex<LruCache<String, Box<UnclassifiedItem>, RandomState>>>;

/// Inventory of one site.
#[derive(Debug)]
pub struct Inventory {
    cookies: ByRule,
    beacons: ByRule,
    parameters: ByRule,
    /// Names that the origin sets.
    unclassified_set: RecentItems,
    /// Names that only visitors sent. Visitors can send anything, so these names are separate and
    /// cannot evict the others.
    unclassified_sent: RecentItems,
    unclassified_beacons: RecentItems,
    /// Paths of detected beacons that are POSTs, by [`BeaconPost::index`].
    unclassified_posts: [RecentItems; BeaconPost::ALL.len()],
    /// Items that the guard blocked in pages, by [`BlockedKind::index`].
    blocked: [RecentItems; BlockedKind::ALL.len()],
}

/// The kind of an item that the guard blocks in pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BlockedKind {
    /// A cookie written by a script.
    Cookie,
    /// A key of local or session storage.
    Storage,
    /// A host that a page loads from.
    Host,
}

impl BlockedKind {
    /// Every value, in declaration order.
    pub const ALL: [Self; 3] = [Self::Cookie, Self::Storage, Self::Host];

    fn index(self) -> usize {
        self as usize
    }
}

/// An unclassified item.
#[derive(Debug)]
struct UnclassifiedItem {
    /// The full name with its numbers, as long as only one such name was seen.
    name: Option<Box<str>>,
    seen: Observation,
}

/// A cookie or beacon that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SeenItem<'a> {
    /// The name of a cookie or parameter, or the path of a beacon. A pattern if several names share one.
    pub name: String,
    /// The matching rule.
    #[serde(skip)]
    pub rule: Option<Rule<'a>>,
    /// Counts.
    #[serde(flatten)]
    pub counts: ItemCounts,
    /// First seen, in Unix seconds.
    pub first_seen: i64,
    /// Last seen, in Unix seconds.
    pub last_seen: i64,
    /// Attributes in the origin's `Set-Cookie`, if the origin sets the cookie.
    pub attributes: Option<Attributes>,
    /// How the origin sets the cookie together with a session, if it does.
    pub set_together: Option<SessionCompanion>,
    /// Why the cookie is presumed strictly necessary, if it is.
    #[serde(skip)]
    pub presumed: Option<Presumption>,
    /// Set if the item is a detected beacon that is a POST.
    #[serde(skip)]
    pub post: Option<BeaconPost>,
}

/// The rule that matches an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule<'a> {
    /// A cookie rule.
    Cookie(&'a CookieRule),
    /// A beacon rule.
    Beacon(&'a BeaconRule),
    /// A rule for query parameters.
    Parameter(&'a ParameterRule),
}

impl Inventory {
    /// An empty inventory for this catalogue.
    pub(super) fn new(catalogue: &Catalogue) -> Self {
        let recent =
            || Arc::new(Mutex::new(LruCache::unbounded_with_hasher(RandomState::default())));
        Self {
            cookies: ByRule::new(catalogue.cookie_rules()),
            beacons: ByRule::new(catalogue.beacon_rules()),
            parameters: ByRule::new(catalogue.parameter_rules()),
            unclassified_set: recent(),
            unclassified_sent: recent(),
            unclassified_beacons: recent(),
            unclassified_posts: BeaconPost::ALL.map(|_| recent()),
            blocked: BlockedKind::ALL.map(|_| recent()),
        }
    }

    /// The inventory for another catalogue of the same site. Counts of a rule move to the rule with
    /// the same pattern. Counts of unclassified cookies move to the rule that matches them now.
    pub(super) fn successor(&self, old: &Catalogue, new: &Catalogue) -> Self {
        let next = Self {
            unclassified_set: Arc::clone(&self.unclassified_set),
            unclassified_sent: Arc::clone(&self.unclassified_sent),
            unclassified_beacons: Arc::clone(&self.unclassified_beacons),
            unclassified_posts: self.unclassified_posts.clone(),
            blocked: self.blocked.clone(),
            ..Self::new(new)
        };
        let numbers = 0..new.cookie_rules();
        let names =
            numbers.filter_map(|number| Some((new.cookie_rule(number)?.pattern.as_str(), number)));
        let names: HashMap<&str, usize> = names.collect();
        next.cookies.move_from(&self.cookies, |number| {
            names.get(old.cookie_rule(number)?.pattern.as_str()).copied()
        });
        let paths = new.all_beacon_rules().map(|rule| (rule.path.as_str(), rule.number));
        let paths: HashMap<&str, usize> = paths.collect();
        let of_old = old.all_beacon_rules().map(|rule| (rule.number, rule.path.as_str()));
        let of_old: HashMap<usize, &str> = of_old.collect();
        next.beacons.move_from(&self.beacons, |number| paths.get(of_old.get(&number)?).copied());
        let rules = (0..new.parameter_rules()).filter_map(|number| new.parameter_rule(number));
        let parameters: HashMap<&str, usize> =
            rules.map(|rule| (rule.name(), rule.number)).collect();
        next.parameters.move_from(&self.parameters, |number| {
            parameters.get(old.parameter_rule(number)?.name()).copied()
        });
        for unknown in [&self.unclassified_set, &self.unclassified_sent] {
            let mut unknown = locked(unknown);
            // A rule with conditions can match the name without matching the cookie.
            let rule = |key: &str, unknown: &UnclassifiedItem| {
                let rule = new.cookie(unknown.display_name(key).as_bytes());
                rule.filter(|rule| rule.requires.is_none()).map(|rule| rule.number)
            };
            let existing =
                unknown.iter().filter_map(|(key, seen)| Some((key.clone(), rule(key, seen)?)));
            let existing: Vec<(String, usize)> = existing.collect();
            for (key, number) in existing {
                if let Some((slot, seen)) = next.cookies.slot(number).zip(unknown.pop(&key)) {
                    // If several names match one rule, only the counts of the first are kept.
                    let _ = slot.set(Box::new(seen.seen));
                }
            }
        }
        next
    }

    /// Records a cookie that the origin sets.
    pub(super) fn record_set(
        &self,
        rule: Option<&CookieRule>,
        cookie: &SetCookie<'_>,
        set_together: &SetTogether<'_>,
        outcome: ItemDecision,
        now: i64,
    ) {
        let record = |seen: &Observation| {
            seen.record(Direction::Origin, outcome, now);
            seen.record_attributes(cookie, now);
        };
        match rule {
            Some(rule) => self.cookies.record(rule.number, now, record),
            None if cookie.name.is_empty() => {}
            None => {
                let name = text(cookie.name);
                let Some(name) = generalized(&name) else { return };
                let before = |key: &str| locked(&self.unclassified_sent).pop(key);
                let record = |seen: &Observation| {
                    record(seen);
                    seen.record_companion(set_together.of(cookie));
                };
                if record_name(&self.unclassified_set, &name, now, before, record) {
                    tracing::info!(cookie = %cookie.name.escape_ascii(), "origin set an unclassified cookie");
                }
            }
        }
    }

    /// Records a cookie that a visitor sent. Visitors can send anything.
    pub(super) fn record_sent(
        &self,
        rule: Option<&CookieRule>,
        name: &[u8],
        outcome: ItemDecision,
        now: i64,
    ) {
        let record = |seen: &Observation| seen.record(Direction::Visitor, outcome, now);
        match rule {
            Some(rule) => self.cookies.record(rule.number, now, record),
            None if name.is_empty() => {}
            None => {
                let display_name = text(name);
                let Some(display_name) = generalized(&display_name) else { return };
                let set = locked(&self.unclassified_set)
                    .get_mut(&*generalize_counters(&display_name))
                    .map(|existing| {
                        existing.add_name(&display_name);
                        record(&existing.seen);
                    });
                if set.is_none()
                    && record_name(&self.unclassified_sent, &display_name, now, |_| None, record)
                {
                    tracing::debug!(cookie = %name.escape_ascii(), "client sent an unclassified cookie");
                }
            }
        }
    }

    /// Records a beacon that matches a rule.
    pub(super) fn record_beacon(&self, rule: &BeaconRule, outcome: ItemDecision, now: i64) {
        let record = |seen: &Observation| seen.record(Direction::Visitor, outcome, now);
        self.beacons.record(rule.number, now, record);
    }

    /// Records a query parameter that matches a rule.
    pub(super) fn record_parameter(&self, rule: &ParameterRule, outcome: ItemDecision, now: i64) {
        let record = |seen: &Observation| seen.record(Direction::Visitor, outcome, now);
        self.parameters.record(rule.number, now, record);
    }

    /// Records a path whose responses look like a beacon's.
    pub(super) fn record_unclassified_beacon(
        &self,
        path: &str,
        post: Option<BeaconPost>,
        outcome: ItemDecision,
        now: i64,
    ) {
        let recent = match post {
            None => Some(&self.unclassified_beacons),
            Some(post) => self.unclassified_posts.get(post.index()),
        };
        let Some(recent) = recent else { return };
        let record = |seen: &Observation| seen.record(Direction::Origin, outcome, now);
        let display_name = text(path.as_bytes());
        let Some(generalized) = generalized(&display_name) else { return };
        if record_name(recent, &generalized, now, |_| None, record) {
            tracing::info!(path, "response looks like an unclassified beacon");
        }
    }

    /// Records an item that the guard blocked in a page, or would have blocked in observe mode.
    pub fn record_blocked(&self, kind: BlockedKind, name: &str, now: i64) {
        let outcome = ItemDecision { permitted: false, decided: false, presumed: None };
        let display_name = text(name.as_bytes());
        let Some(generalized) = generalized(&display_name).filter(|name| !name.is_empty()) else {
            return;
        };
        if let Some(blocked) = self.blocked.get(kind.index()) {
            let record = |seen: &Observation| seen.record(Direction::Visitor, outcome, now);
            record_name(blocked, &generalized, now, |_| None, record);
        }
    }

    /// The items of one kind that the guard blocked, by name.
    pub fn blocked(&self, kind: BlockedKind) -> Vec<SeenItem<'static>> {
        self.blocked.get(kind.index()).map(unknown).unwrap_or_default()
    }

    /// Every cookie seen, by name; unclassified cookies first.
    pub fn cookies<'a>(&self, catalogue: &'a Catalogue) -> Vec<SeenItem<'a>> {
        let mut all = unknown(&self.unclassified_set);
        all.extend(unknown(&self.unclassified_sent));
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all.extend(existing(&self.cookies, |number| {
            let rule = catalogue.cookie_rule(number)?;
            Some((rule.pattern.as_str(), Rule::Cookie(rule)))
        }));
        all
    }

    /// Every query parameter seen that a rule matches, by name.
    pub fn parameters<'a>(&self, catalogue: &'a Catalogue) -> Vec<SeenItem<'a>> {
        existing(&self.parameters, |number| {
            let rule = catalogue.parameter_rule(number)?;
            Some((rule.name(), Rule::Parameter(rule)))
        })
    }

    /// Every beacon seen, by path; unclassified beacons first.
    pub fn beacons<'a>(&self, catalogue: &'a Catalogue) -> Vec<SeenItem<'a>> {
        let mut all = unknown(&self.unclassified_beacons);
        for (post, recent) in BeaconPost::ALL.into_iter().zip(&self.unclassified_posts) {
            all.extend(
                unknown(recent).into_iter().map(|item| SeenItem { post: Some(post), ..item }),
            );
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all.extend(existing(&self.beacons, |number| {
            let rule = catalogue.beacon_rule(number)?;
            Some((rule.path.as_str(), Rule::Beacon(rule)))
        }));
        all
    }
}

impl UnclassifiedItem {
    /// Records another name with the same key. If the names differ, only the key is shown.
    fn add_name(&mut self, name: &str) {
        if self.name.as_deref().is_some_and(|existing| existing != name) {
            self.name = None;
        }
    }

    fn display_name<'a>(&'a self, key: &'a str) -> &'a str {
        self.name.as_deref().unwrap_or(key)
    }
}

/// The name or path with its random parts generalised. `None` if it is too long.
fn generalized(name: &str) -> Option<std::borrow::Cow<'_, str>> {
    (name.len() <= MAX_NAME_BYTES).then(|| generalize_name(name))
}

/// Records a name, and returns whether the name is new. `before` supplies the item from another
/// map.
fn record_name(
    recent: &RecentItems,
    name: &str,
    now: i64,
    before: impl FnOnce(&str) -> Option<Box<UnclassifiedItem>>,
    record: impl FnOnce(&Observation),
) -> bool {
    let key = generalize_counters(name);
    let mut recent = locked(recent);
    let existing = recent.contains(&*key);
    let new = || {
        let new =
            || Box::new(UnclassifiedItem { name: Some(name.into()), seen: Observation::new(now) });
        before(&key).unwrap_or_else(new)
    };
    let unknown = recent.get_or_insert_mut_ref(&*key, new);
    unknown.add_name(name);
    record(&unknown.seen);
    if recent.len() > MAX_NAMES {
        recent.pop_lru();
    }
    !existing
}

/// The name as text. Non-UTF-8 bytes and control characters are escaped. `*` and braces are escaped
/// too: rules treat them as wildcards and placeholders.
fn text(name: &[u8]) -> std::borrow::Cow<'_, str> {
    let is_special = |letter: char| letter.is_control() || matches!(letter, '*' | '{' | '}');
    match std::str::from_utf8(name) {
        Ok(text) if !text.contains(is_special) => text.into(),
        _ => {
            let escaped = name.escape_ascii().to_string();
            escaped.replace('*', "\\x2a").replace('{', "\\x7b").replace('}', "\\x7d").into()
        }
    }
}

fn locked(
    recent: &RecentItems,
) -> MutexGuard<'_, LruCache<String, Box<UnclassifiedItem>, RandomState>> {
    recent.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unknown(recent: &RecentItems) -> Vec<SeenItem<'static>> {
    let recent = locked(recent);
    let mut all: Vec<_> = recent
        .iter()
        .map(|(key, existing)| item(existing.display_name(key), None, &existing.seen))
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

fn existing<'a>(
    by_rule: &ByRule,
    rule_of: impl Fn(usize) -> Option<(&'a str, Rule<'a>)>,
) -> Vec<SeenItem<'a>> {
    let mut all: Vec<_> = by_rule
        .seen()
        .filter_map(|(number, seen)| {
            let (name, rule) = rule_of(number)?;
            Some(item(name, Some(rule), seen))
        })
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

fn item<'a>(name: &str, rule: Option<Rule<'a>>, seen: &Observation) -> SeenItem<'a> {
    SeenItem {
        name: name.to_owned(),
        rule,
        counts: seen.counts(),
        first_seen: seen.first(),
        last_seen: seen.last(),
        attributes: seen.attributes().cloned(),
        set_together: seen.companion(),
        presumed: if rule.is_none() { seen.presumed() } else { None },
        post: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::observation::PassCounts;

    /// Records the only `Set-Cookie` line of a response.
    fn record_set(inventory: &Inventory, line: &[u8], now: i64) {
        let set_together = SetTogether::new(&[], &http::Method::GET, now);
        inventory.record_set(None, &SetCookie::parse(line), &set_together, STRIPPED, now);
    }

    const STRIPPED: ItemDecision =
        ItemDecision { permitted: false, decided: false, presumed: None };

    fn empty() -> Catalogue {
        Catalogue::compile([], [])
    }

    #[test]
    fn the_inventory_is_bounded_in_number_and_length_and_keeps_the_latest() {
        let catalogue = empty();
        let inventory = Inventory::new(&catalogue);
        let word = |number: usize| -> String {
            let letter =
                |shift: usize| char::from(b'a' + u8::try_from(number >> shift & 15).unwrap_or(0));
            [letter(12), letter(8), letter(4), letter(0), 'x'].iter().collect()
        };
        for number in 0..2 * MAX_NAMES {
            inventory.record_sent(None, word(number).as_bytes(), STRIPPED, 1);
            inventory.record_sent(None, b"often", STRIPPED, 1);
        }
        record_set(&inventory, &vec![b'x'; 10_000], 1);
        let names = |inventory: &Inventory| -> Vec<String> {
            inventory.cookies(&catalogue).into_iter().map(|seen| seen.name).collect()
        };
        assert_eq!(names(&inventory).len(), MAX_NAMES);
        inventory.record_sent(None, b"a\xff\n", STRIPPED, 1);
        // Visitors cannot evict a name that the origin sets, and its earlier counts are kept.
        record_set(&inventory, b"often=1", 2);
        for number in 0..2 * MAX_NAMES {
            inventory.record_sent(None, word(number).as_bytes(), STRIPPED, 3);
        }
        inventory.record_sent(None, b"a\xff\n", STRIPPED, 3);
        let kept = inventory.cookies(&catalogue);
        let often = kept.iter().find(|seen| seen.name == "often").expect("kept");
        assert_eq!((often.first_seen, often.counts.set), (1, 1));
        assert_eq!(often.counts.sent, 2 * MAX_NAMES as u64);
        let names = names(&inventory);
        assert_eq!(names.len(), MAX_NAMES + 1);
        assert!(
            names.iter().any(|name| name == "a\\xff\\n")
                && names.iter().any(|name| name == "often")
        );
        assert!(!names.contains(&word(0)) && names.contains(&word(2 * MAX_NAMES - 1)));
    }

    #[test]
    fn random_names_share_an_entry_with_attributes_and_decisions() {
        let catalogue = empty();
        let inventory = Inventory::new(&catalogue);
        let line =
            b"cart_8f14e45fceea=secret; HttpOnly; SameSite=lax; Max-Age=60; Domain=.shop.example";
        record_set(&inventory, line, 7);
        let decided = ItemDecision { permitted: true, decided: true, presumed: None };
        inventory.record_sent(None, b"cart_167a5a36dedd4bea", decided, 9);
        let seen = inventory.cookies(&catalogue);
        let [seen] = seen.as_slice() else { unreachable!("one: {seen:?}") };
        assert_eq!((seen.name.as_str(), seen.first_seen, seen.last_seen), ("cart_*", 7, 9));
        assert_eq!((seen.counts.set, seen.counts.sent), (1, 1));
        assert_eq!(seen.counts.undecided, PassCounts { passed: 0, stripped: 1 });
        assert_eq!(seen.counts.decided, PassCounts { passed: 1, stripped: 0 });
        let attributes = seen.attributes.as_ref().expect("set by the origin");
        assert!(attributes.http_only && !attributes.secure);
        assert_eq!(attributes.same_site, Some("lax"));
        assert_eq!(attributes.lifetime_seconds, Some(60));
        assert_eq!(attributes.domain.as_deref(), Some("shop.example"));
        assert!(!format!("{inventory:?}").contains("secret"));
    }

    #[test]
    fn names_that_differ_only_in_a_number_are_merged_from_the_second_on() {
        let catalogue = empty();
        let inventory = Inventory::new(&catalogue);
        let display_name = |inventory: &Inventory| -> Vec<(String, u64)> {
            let seen = inventory.cookies(&catalogue).into_iter();
            seen.map(|seen| (seen.name, seen.counts.set + seen.counts.sent)).collect()
        };
        inventory.record_sent(None, b"editRevision5", STRIPPED, 1);
        record_set(&inventory, b"editRevision5=1", 2);
        inventory.record_sent(None, b"step3", STRIPPED, 2);
        assert_eq!(
            display_name(&inventory),
            [("editRevision5".to_owned(), 2), ("step3".to_owned(), 1)]
        );
        record_set(&inventory, b"editRevision6=1", 3);
        inventory.record_sent(None, b"editRevision123456", STRIPPED, 3);
        assert_eq!(
            display_name(&inventory),
            [("editRevision*".to_owned(), 4), ("step3".to_owned(), 1)]
        );
        inventory.record_sent(None, b"step4", STRIPPED, 3);
        assert_eq!(
            display_name(&inventory),
            [("editRevision*".to_owned(), 4), ("step*".to_owned(), 2)]
        );
    }
}
