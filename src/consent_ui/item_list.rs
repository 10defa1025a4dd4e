//! Lists for visitors: cookies, beacons, hosts, storage keys and URL identifiers. The items are those
//! in the config and those seen on the site, with their catalogue data.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::catalogue::{CookieLifetime, CookieRule, Entry, RulePriority};
use crate::consent::sources::Native;
use crate::consent::{Categories, Category};
use crate::cookie::registrable_domain;
use crate::filter::{BlockedKind, Filter, Rule, SeenItem};
use crate::locale::{Locale, Texts, fill};

/// What an item of a list is. Lists have this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Technology {
    Cookie,
    Beacon,
    /// A host that pages load content from.
    Host,
    /// A key of local or session storage.
    Storage,
    /// A query parameter.
    Parameter,
}

impl Technology {
    /// The heading of a list, with `{count}`.
    fn heading(self, texts: &Texts) -> &str {
        match self {
            Self::Cookie => &texts.cookie_list,
            Self::Beacon => &texts.beacon_list,
            Self::Host => &texts.host_list,
            Self::Storage => &texts.storage_list,
            Self::Parameter => &texts.parameter_list,
        }
    }
}

/// One item, with texts in the language of the page.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// The name, or a pattern.
    pub(super) name: String,
    pub(super) vendor: Option<String>,
    pub(super) purpose: Option<String>,
    /// The purpose is from a catalogue file without translations.
    pub(super) untranslated: bool,
    pub(super) lifetime: Option<String>,
}

const DAY: i64 = 24 * 60 * 60;

/// The `vendor` of cookies that the site's own code uses.
const THIS_SITE: &str = "this site";

/// A truncated list of items of one technology.
#[derive(Debug, Clone)]
pub(super) struct List {
    pub(super) title: String,
    pub(super) rows: Vec<Row>,
    /// Number of omitted items.
    pub(super) more: usize,
}

impl List {
    /// The text below a truncated list.
    pub(super) fn more_text(&self, texts: &Texts) -> String {
        fill(&texts.more, &[("count", &self.more.to_string())]).into_owned()
    }

    /// The most frequent items, up to `most`, sorted by name.
    fn of(technology: Technology, mut found: Vec<(u64, Row)>, most: usize, texts: &Texts) -> Self {
        found.sort_by(|(a_seen, a), (b_seen, b)| {
            (Reverse(a_seen), &a.name).cmp(&(Reverse(b_seen), &b.name))
        });
        let count = found.len().to_string();
        let title = fill(technology.heading(texts), &[("count", &count)]).into_owned();
        let more = found.len().saturating_sub(most);
        found.truncate(most);
        let mut rows: Vec<Row> = found.into_iter().map(|(_, row)| row).collect();
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        Self { title, rows, more }
    }
}

/// The lists of a site by category. `None` is the category of unclassified cookies.
#[derive(Debug)]
pub(super) struct Lists(BTreeMap<Option<Category>, Vec<List>>);

impl Lists {
    /// The lists of a category, of which only the cookie list may be empty.
    pub(super) fn of_category(&mut self, category: Option<Category>) -> Vec<List> {
        self.0.remove(&category).unwrap_or_default()
    }

    /// The lists of a site, with up to `most` items each.
    pub(super) fn new(
        filter: &Filter,
        categories: &Categories,
        locale: &Locale,
        most: usize,
    ) -> Self {
        let mut found = Found { locale, categories, rows: BTreeMap::new() };
        found.cookies(filter);
        found.storage(filter);
        found.beacons(filter);
        found.hosts(filter);
        found.parameters(filter);
        // Every category shows its cookies, even if there are none.
        for (category, _) in categories.iter() {
            found.rows.entry((Some(category), Technology::Cookie)).or_default();
        }
        let mut lists: BTreeMap<_, Vec<List>> = BTreeMap::new();
        for ((category, technology), rows) in found.rows {
            let list = List::of(technology, rows, most, &locale.texts);
            lists.entry(category).or_default().push(list);
        }
        Self(lists)
    }
}

/// The rows found, with the number of times that each item was seen.
struct Found<'a> {
    locale: &'a Locale,
    categories: &'a Categories,
    rows: BTreeMap<(Option<Category>, Technology), Vec<(u64, Row)>>,
}

impl Found<'_> {
    fn add(&mut self, category: Option<Category>, technology: Technology, times: u64, row: Row) {
        self.rows.entry((category, technology)).or_default().push((times, row));
    }

    fn cookies(&mut self, filter: &Filter) {
        let settings = filter.settings();
        let (catalogue, inventory) = (&settings.policy.catalogue, filter.inventory());
        let max_age = i64::from(settings.reader.max_age_days).saturating_mul(DAY);
        let mut listed = BTreeSet::new();
        for seen in inventory.cookies(catalogue) {
            match seen.rule {
                Some(Rule::Cookie(rule)) => {
                    listed.insert(rule.number);
                    let row = cookie_row(rule, Some(&seen), self.locale, max_age);
                    self.add(Some(rule.entry.category), Technology::Cookie, times(&seen), row);
                }
                // Visitors can send anything: an unclassified cookie is listed only if the origin
                // sets it.
                None if seen.counts.set > 0 => {
                    let (category, times) =
                        (seen.presumed.map(|_| Category::NECESSARY), times(&seen));
                    let lifetime = seen_lifetime(&seen);
                    let row = Row {
                        vendor: None,
                        purpose: category.map(|_| self.locale.texts.presumed.clone()),
                        untranslated: false,
                        lifetime: lifetime
                            .and_then(|lifetime| self.locale.lifetime(lifetime))
                            .map(Cow::into_owned),
                        name: seen.name,
                    };
                    self.add(category, Technology::Cookie, times, row);
                }
                _ => {}
            }
        }
        // Cookies that the guard blocked are never sent.
        for seen in inventory.blocked(BlockedKind::Cookie) {
            let Some(rule) = catalogue.cookie(seen.name.as_bytes()) else { continue };
            if listed.insert(rule.number) {
                let row = cookie_row(rule, None, self.locale, max_age);
                self.add(Some(rule.entry.category), Technology::Cookie, times(&seen), row);
            }
        }
        // Cookies in the config are listed even if they were not seen; so is consentry's own cookie.
        let rules =
            (0..catalogue.cookie_rules()).filter_map(|number| catalogue.cookie_rule(number));
        for rule in rules.filter(|rule| !listed.contains(&rule.number)) {
            let own = rule.tier == RulePriority::Consent && rule.pattern.as_str() == Native::COOKIE;
            if own || is_configured(rule.tier) {
                let row = cookie_row(rule, None, self.locale, max_age);
                self.add(Some(rule.entry.category), Technology::Cookie, u64::MAX, row);
            }
        }
    }

    /// Storage keys that the guard blocked. Scripts report the keys, so only those with a rule are
    /// listed, under the name of the rule.
    fn storage(&mut self, filter: &Filter) {
        let catalogue = &filter.settings().policy.catalogue;
        let mut listed = BTreeSet::new();
        for seen in filter.inventory().blocked(BlockedKind::Storage) {
            let Some(rule) = catalogue.cookie(seen.name.as_bytes()) else { continue };
            if listed.insert(rule.number) {
                let row = cookie_row(rule, None, self.locale, 0);
                let row = Row { lifetime: None, ..row };
                self.add(Some(rule.entry.category), Technology::Storage, times(&seen), row);
            }
        }
    }

    /// Beacons with a rule. Paths without a rule are not listed, because visitors can send any path.
    fn beacons(&mut self, filter: &Filter) {
        let catalogue = &filter.settings().policy.catalogue;
        let mut listed = BTreeSet::new();
        for seen in filter.inventory().beacons(catalogue) {
            let Some(Rule::Beacon(rule)) = seen.rule else { continue };
            listed.insert(rule.number);
            // The rule of filter lists has no path of its own.
            if rule.number < catalogue.beacon_paths() {
                self.add_entry(Technology::Beacon, rule.path.as_str(), &rule.entry, times(&seen));
            }
        }
        for rule in catalogue.all_beacon_rules().filter(|rule| !listed.contains(&rule.number)) {
            if is_configured(rule.tier) {
                self.add_entry(Technology::Beacon, rule.path.as_str(), &rule.entry, u64::MAX);
            }
        }
    }

    /// Hosts that the guard blocked in pages, under the name of their rule. A host that only filter
    /// lists name is listed by its registrable domain.
    fn hosts(&mut self, filter: &Filter) {
        let catalogue = &filter.settings().policy.catalogue;
        let mut listed = BTreeSet::new();
        for seen in filter.inventory().blocked(BlockedKind::Host) {
            let host = seen.name.as_str();
            let url = format!("https://{host}/");
            let found = match catalogue.host_rule(host) {
                Some(rule) => Some((rule.host.as_str(), &rule.entry)),
                None => {
                    registrable_domain(host).zip(catalogue.third_party(host, "", &url, "other"))
                }
            };
            let Some((name, entry)) = found else { continue };
            if listed.insert(name.to_owned()) {
                self.add_entry(Technology::Host, name, entry, times(&seen));
            }
        }
        for rule in catalogue.host_rules().filter(|rule| is_configured(rule.tier)) {
            if listed.insert(rule.host.clone()) {
                self.add_entry(Technology::Host, &rule.host, &rule.entry, u64::MAX);
            }
        }
    }

    fn parameters(&mut self, filter: &Filter) {
        let catalogue = &filter.settings().policy.catalogue;
        let mut listed = BTreeSet::new();
        for seen in filter.inventory().parameters(catalogue) {
            let Some(Rule::Parameter(rule)) = seen.rule else { continue };
            listed.insert(rule.number);
            self.add_entry(Technology::Parameter, rule.name(), &rule.entry, times(&seen));
        }
        let rules =
            (0..catalogue.parameter_rules()).filter_map(|number| catalogue.parameter_rule(number));
        for rule in rules.filter(|rule| is_configured(rule.tier)) {
            if listed.insert(rule.number) {
                self.add_entry(Technology::Parameter, rule.name(), &rule.entry, u64::MAX);
            }
        }
    }

    /// Adds an item whose rule has no lifetime. Without a purpose of its own, the category's
    /// description is the purpose.
    fn add_entry(&mut self, technology: Technology, name: &str, entry: &Entry, times: u64) {
        let own = purpose(entry, self.locale);
        let described = || {
            let texts = self.locale.category(self.categories.name(entry.category));
            Some(texts.description.clone()).filter(|text| !text.is_empty())
        };
        let row = Row {
            name: name.to_owned(),
            vendor: entry.vendor.as_deref().map(|vendor| vendor_name(vendor, self.locale)),
            purpose: own.map(str::to_owned).or_else(described),
            untranslated: false,
            lifetime: None,
        };
        self.add(Some(entry.category), technology, times, row);
    }
}

/// Whether the config contains the rule, so that its item is listed even if it was not seen.
fn is_configured(tier: RulePriority) -> bool {
    matches!(tier, RulePriority::Config | RulePriority::Site)
}

fn times(seen: &SeenItem<'_>) -> u64 {
    seen.counts.set.saturating_add(seen.counts.sent)
}

fn vendor_name(vendor: &str, locale: &Locale) -> String {
    if vendor == THIS_SITE { locale.texts.this_site.clone() } else { vendor.to_owned() }
}

/// The purpose in words, else the text of its kind.
fn purpose<'a>(entry: &'a Entry, locale: &'a Locale) -> Option<&'a str> {
    let words = entry.purpose.as_ref().map(|purpose| purpose.text(&locale.tag));
    words.or_else(|| locale.kind(entry.kind?))
}

fn cookie_row(
    rule: &CookieRule,
    seen: Option<&SeenItem<'_>>,
    locale: &Locale,
    max_age: i64,
) -> Row {
    let entry = &rule.entry;
    let in_words = |lifetime| locale.lifetime(lifetime).map(Cow::into_owned);
    let lifetime = if rule.pattern.as_str() == Native::COOKIE {
        in_words(CookieLifetime::of_seconds(max_age))
    } else {
        let written = || match (entry.lifetime.as_deref()?, rule.tier) {
            (text, tier) if is_configured(tier) => {
                CookieLifetime::parse(text).map_or_else(|| Some(text.to_owned()), in_words)
            }
            (text, _) => CookieLifetime::parse(text).and_then(in_words),
        };
        seen.and_then(seen_lifetime).and_then(in_words).or_else(written)
    };
    let from_catalogue = matches!(rule.tier, RulePriority::Catalogue(_));
    // The words of the catalogue's own rules are English details for operators.
    let purpose = match entry.kind.filter(|_| from_catalogue) {
        Some(kind) => locale.kind(kind),
        None => purpose(entry, locale),
    };
    Row {
        name: rule.pattern.shown().into_owned(),
        // The vendor of a consent cookie is an internal name for logs.
        vendor: (entry.vendor.as_deref())
            .filter(|_| rule.tier != RulePriority::Consent)
            .map(|vendor| vendor_name(vendor, locale)),
        purpose: purpose.map(str::to_owned),
        untranslated: from_catalogue && entry.kind.is_none(),
        lifetime,
    }
}

/// The lifetime that the origin first set.
fn seen_lifetime(seen: &SeenItem<'_>) -> Option<CookieLifetime> {
    let attributes = seen.attributes.as_ref()?;
    Some(attributes.lifetime_seconds.map_or(CookieLifetime::Session, CookieLifetime::of_seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Overrides};

    #[test]
    fn a_truncated_list_keeps_the_most_frequent_cookies_sorted_by_name() {
        let row = |name: &str| Row {
            name: name.to_owned(),
            vendor: None,
            purpose: None,
            untranslated: false,
            lifetime: None,
        };
        let config =
            config::parse("[[site]]\nupstream = 'http://127.0.0.1:1'", None, &Overrides::default())
                .expect("a valid config");
        let texts = &config.locales.choose(Some("en"), None).expect("English").texts;
        let found = [(1, "a"), (9, "z"), (5, "m"), (5, "b")];
        let found = found.iter().map(|(count, name)| (*count, row(name))).collect();
        let list = List::of(Technology::Beacon, found, 2, texts);
        let names: Vec<&str> = list.rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!((names, list.more, list.title.as_str()), (vec!["b", "z"], 2, "Beacons (4)"));
    }
}
