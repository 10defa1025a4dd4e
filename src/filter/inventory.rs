//! Inventory of the cookies and beacons seen, classified or not. Contains names, counts and
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

use super::by_rule::ByRule;
use super::observation::{Attributes, Direction, ItemCounts, ItemDecision, Observation};
use super::session_companion::SetTogether;
use crate::catalogue::{
    BeaconRule, Catalogue, CookieRule, Presumption, SessionCompanion, generalize_counters,
    generalize_name,
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
    /// Names that the origin sets.
    unknown_set: RecentItems,
    /// Names that only visitors sent. Visitors can send anything, so these names are separate and
    /// cannot evict the others.
    unknown_sent: RecentItems,
    unknown_beacons: RecentItems,
    /// Items that the guard blocked in pages, by [`BlockedKind::index`].
    held_back: [RecentItems; BlockedKind::ALL.len()],
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
    /// The name of a cookie or the path of a beacon. A pattern if several names share one.
    pub name: String,
    /// The matching rule.
    #[serde(skip)]
    pub rule: Option<Rule<'a>>,
    /// Counts.
    #[serde(flatten)]
    pub tally: ItemCounts,
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
}

/// The rule that matches an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule<'a> {
    /// A cookie rule.
    Cookie(&'a CookieRule),
    /// A beacon rule.
    Beacon(&'a BeaconRule),
}

impl Inventory {
    /// An empty inventory for this catalogue.
    pub(super) fn new(catalogue: &Catalogue) -> Self {
        let recent =
            || Arc::new(Mutex::new(LruCache::unbounded_with_hasher(RandomState::default())));
        Self {
            cookies: ByRule::new(catalogue.cookie_rules()),
            beacons: ByRule::new(catalogue.beacon_rules()),
            unknown_set: recent(),
            unknown_sent: recent(),
            unknown_beacons: recent(),
            held_back: BlockedKind::ALL.map(|_| recent()),
        }
    }

    /// The inventory for another catalogue of the same site. Counts of a rule move to the rule with
    /// the same pattern. Counts of unclassified cookies move to the rule that matches them now.
    pub(super) fn successor(&self, old: &Catalogue, new: &Catalogue) -> Self {
        let next = Self {
            unknown_set: Arc::clone(&self.unknown_set),
            unknown_sent: Arc::clone(&self.unknown_sent),
            unknown_beacons: Arc::clone(&self.unknown_beacons),
            held_back: self.held_back.clone(),
            ..Self::new(new)
        };
        let numbers = 0..new.cookie_rules();
        let names =
            numbers.filter_map(|number| Some((new.cookie_rule(number)?.pattern.as_str(), number)));
        let names: HashMap<&str, usize> = names.collect();
        next.cookies.take_over(&self.cookies, |number| {
            names.get(old.cookie_rule(number)?.pattern.as_str()).copied()
        });
        let paths = new.all_beacon_rules().map(|rule| (rule.path.as_str(), rule.number));
        let paths: HashMap<&str, usize> = paths.collect();
        let of_old = old.all_beacon_rules().map(|rule| (rule.number, rule.path.as_str()));
        let of_old: HashMap<usize, &str> = of_old.collect();
        next.beacons.take_over(&self.beacons, |number| paths.get(of_old.get(&number)?).copied());
        for unknown in [&self.unknown_set, &self.unknown_sent] {
            let mut unknown = locked(unknown);
            // A rule with conditions can match the name without matching the cookie.
            let rule = |key: &str, unknown: &UnclassifiedItem| {
                let rule = new.cookie(unknown.shown(key).as_bytes());
                rule.filter(|rule| rule.requires.is_none()).map(|rule| rule.number)
            };
            let known =
                unknown.iter().filter_map(|(key, seen)| Some((key.clone(), rule(key, seen)?)));
            let known: Vec<(String, usize)> = known.collect();
            for (key, number) in known {
                if let Some((slot, seen)) = next.cookies.slot(number).zip(unknown.pop(&key)) {
                    // If several names match one rule, only the counts of the first are kept.
                    let _ = slot.set(Box::new(seen.seen));
                }
            }
        }
        next
    }

    /// Records a cookie that the origin sets.
    pub(super) fn note_set(
        &self,
        rule: Option<&CookieRule>,
        cookie: &SetCookie<'_>,
        together: &SetTogether<'_>,
        outcome: ItemDecision,
        now: i64,
    ) {
        let note = |seen: &Observation| {
            seen.note(Direction::Origin, outcome, now);
            seen.note_attributes(cookie, now);
        };
        match rule {
            Some(rule) => self.cookies.note(rule.number, now, note),
            None if cookie.name.is_empty() => {}
            None => {
                let name = text(cookie.name);
                let Some(name) = folded(&name) else { return };
                let before = |key: &str| locked(&self.unknown_sent).pop(key);
                let note = |seen: &Observation| {
                    note(seen);
                    seen.note_together(together.of(cookie));
                };
                if of_name(&self.unknown_set, &name, now, before, note) {
                    tracing::info!(cookie = %cookie.name.escape_ascii(), "origin set an unclassified cookie");
                }
            }
        }
    }

    /// Records a cookie that a visitor sent. Visitors can send anything.
    pub(super) fn note_sent(
        &self,
        rule: Option<&CookieRule>,
        name: &[u8],
        outcome: ItemDecision,
        now: i64,
    ) {
        let note = |seen: &Observation| seen.note(Direction::Visitor, outcome, now);
        match rule {
            Some(rule) => self.cookies.note(rule.number, now, note),
            None if name.is_empty() => {}
            None => {
                let shown = text(name);
                let Some(shown) = folded(&shown) else { return };
                let set =
                    locked(&self.unknown_set).get_mut(&*generalize_counters(&shown)).map(|known| {
                        known.add_name(&shown);
                        note(&known.seen);
                    });
                if set.is_none() && of_name(&self.unknown_sent, &shown, now, |_| None, note) {
                    tracing::debug!(cookie = %name.escape_ascii(), "client sent an unclassified cookie");
                }
            }
        }
    }

    /// Records a beacon that matches a rule.
    pub(super) fn note_beacon(&self, rule: &BeaconRule, outcome: ItemDecision, now: i64) {
        let note = |seen: &Observation| seen.note(Direction::Visitor, outcome, now);
        self.beacons.note(rule.number, now, note);
    }

    /// Records a path whose responses look like a beacon's.
    pub(super) fn note_unknown_beacon(&self, path: &str, outcome: ItemDecision, now: i64) {
        let note = |seen: &Observation| seen.note(Direction::Origin, outcome, now);
        let shown = text(path.as_bytes());
        let Some(folded) = folded(&shown) else { return };
        if of_name(&self.unknown_beacons, &folded, now, |_| None, note) {
            tracing::info!(path, "response looks like an unclassified beacon");
        }
    }

    /// Records an item that the guard blocked in a page, or would have blocked in observe mode.
    pub fn note_held_back(&self, kind: BlockedKind, name: &str, now: i64) {
        let outcome = ItemDecision { permitted: false, decided: false, presumed: None };
        let shown = text(name.as_bytes());
        let Some(folded) = folded(&shown).filter(|name| !name.is_empty()) else { return };
        if let Some(held_back) = self.held_back.get(kind.index()) {
            let note = |seen: &Observation| seen.note(Direction::Visitor, outcome, now);
            of_name(held_back, &folded, now, |_| None, note);
        }
    }

    /// The items of one kind that the guard blocked, by name.
    pub fn held_back(&self, kind: BlockedKind) -> Vec<SeenItem<'static>> {
        self.held_back.get(kind.index()).map(unknown).unwrap_or_default()
    }

    /// Every cookie seen, by name; unclassified cookies first.
    pub fn cookies<'a>(&self, catalogue: &'a Catalogue) -> Vec<SeenItem<'a>> {
        let mut all = unknown(&self.unknown_set);
        all.extend(unknown(&self.unknown_sent));
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all.extend(known(&self.cookies, |number| {
            let rule = catalogue.cookie_rule(number)?;
            Some((rule.pattern.as_str(), Rule::Cookie(rule)))
        }));
        all
    }

    /// Every beacon seen, by path; unclassified beacons first.
    pub fn beacons<'a>(&self, catalogue: &'a Catalogue) -> Vec<SeenItem<'a>> {
        let mut all = unknown(&self.unknown_beacons);
        all.extend(known(&self.beacons, |number| {
            let rule = catalogue.beacon_rule(number)?;
            Some((rule.path.as_str(), Rule::Beacon(rule)))
        }));
        all
    }
}

impl UnclassifiedItem {
    /// Records another name with the same key. If the names differ, only the key is shown.
    fn add_name(&mut self, name: &str) {
        if self.name.as_deref().is_some_and(|known| known != name) {
            self.name = None;
        }
    }

    fn shown<'a>(&'a self, key: &'a str) -> &'a str {
        self.name.as_deref().unwrap_or(key)
    }
}

/// The name or path with its random parts generalised. `None` if it is too long.
fn folded(name: &str) -> Option<std::borrow::Cow<'_, str>> {
    (name.len() <= MAX_NAME_BYTES).then(|| generalize_name(name))
}

/// Records a name, and returns whether the name is new. `before` supplies the item from another
/// map.
fn of_name(
    recent: &RecentItems,
    name: &str,
    now: i64,
    before: impl FnOnce(&str) -> Option<Box<UnclassifiedItem>>,
    note: impl FnOnce(&Observation),
) -> bool {
    let key = generalize_counters(name);
    let mut recent = locked(recent);
    let known = recent.contains(&*key);
    let new = || {
        let new =
            || Box::new(UnclassifiedItem { name: Some(name.into()), seen: Observation::new(now) });
        before(&key).unwrap_or_else(new)
    };
    let unknown = recent.get_or_insert_mut_ref(&*key, new);
    unknown.add_name(name);
    note(&unknown.seen);
    if recent.len() > MAX_NAMES {
        recent.pop_lru();
    }
    !known
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
    let mut all: Vec<_> =
        recent.iter().map(|(key, known)| item(known.shown(key), None, &known.seen)).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

fn known<'a>(
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
        tally: seen.tally(),
        first_seen: seen.first(),
        last_seen: seen.last(),
        attributes: seen.attributes().cloned(),
        set_together: seen.together(),
        presumed: if rule.is_none() { seen.presumed() } else { None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::observation::PassCounts;

    /// Records the only `Set-Cookie` line of a response.
    fn note_set(inventory: &Inventory, line: &[u8], now: i64) {
        let together = SetTogether::new(&[], &http::Method::GET, now);
        inventory.note_set(None, &SetCookie::parse(line), &together, STRIPPED, now);
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
            inventory.note_sent(None, word(number).as_bytes(), STRIPPED, 1);
            inventory.note_sent(None, b"often", STRIPPED, 1);
        }
        note_set(&inventory, &vec![b'x'; 10_000], 1);
        let names = |inventory: &Inventory| -> Vec<String> {
            inventory.cookies(&catalogue).into_iter().map(|seen| seen.name).collect()
        };
        assert_eq!(names(&inventory).len(), MAX_NAMES);
        inventory.note_sent(None, b"a\xff\n", STRIPPED, 1);
        // Visitors cannot evict a name that the origin sets, and its earlier counts are kept.
        note_set(&inventory, b"often=1", 2);
        for number in 0..2 * MAX_NAMES {
            inventory.note_sent(None, word(number).as_bytes(), STRIPPED, 3);
        }
        inventory.note_sent(None, b"a\xff\n", STRIPPED, 3);
        let kept = inventory.cookies(&catalogue);
        let often = kept.iter().find(|seen| seen.name == "often").expect("kept");
        assert_eq!((often.first_seen, often.tally.set), (1, 1));
        assert_eq!(often.tally.sent, 2 * MAX_NAMES as u64);
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
        note_set(&inventory, line, 7);
        let decided = ItemDecision { permitted: true, decided: true, presumed: None };
        inventory.note_sent(None, b"cart_167a5a36dedd4bea", decided, 9);
        let seen = inventory.cookies(&catalogue);
        let [seen] = seen.as_slice() else { unreachable!("one: {seen:?}") };
        assert_eq!((seen.name.as_str(), seen.first_seen, seen.last_seen), ("cart_*", 7, 9));
        assert_eq!((seen.tally.set, seen.tally.sent), (1, 1));
        assert_eq!(seen.tally.undecided, PassCounts { passed: 0, stripped: 1 });
        assert_eq!(seen.tally.decided, PassCounts { passed: 1, stripped: 0 });
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
        let shown = |inventory: &Inventory| -> Vec<(String, u64)> {
            let seen = inventory.cookies(&catalogue).into_iter();
            seen.map(|seen| (seen.name, seen.tally.set + seen.tally.sent)).collect()
        };
        inventory.note_sent(None, b"editRevision5", STRIPPED, 1);
        note_set(&inventory, b"editRevision5=1", 2);
        inventory.note_sent(None, b"step3", STRIPPED, 2);
        assert_eq!(shown(&inventory), [("editRevision5".to_owned(), 2), ("step3".to_owned(), 1)]);
        note_set(&inventory, b"editRevision6=1", 3);
        inventory.note_sent(None, b"editRevision123456", STRIPPED, 3);
        assert_eq!(shown(&inventory), [("editRevision*".to_owned(), 4), ("step3".to_owned(), 1)]);
        inventory.note_sent(None, b"step4", STRIPPED, 3);
        assert_eq!(shown(&inventory), [("editRevision*".to_owned(), 4), ("step*".to_owned(), 2)]);
    }
}
