//! Cookie list for visitors: cookies in the config and cookies seen on the site, with their
//! catalogue data.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::catalogue::{CookieLifetime, CookieRule, RulePriority};
use crate::consent::Category;
use crate::consent::sources::Native;
use crate::filter::{Filter, Rule, SeenItem};
use crate::locale::{Locale, Texts, fill};

/// One cookie, with texts in the language of the page.
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

/// A truncated list of cookies.
#[derive(Debug, Default, Clone)]
pub(super) struct List {
    pub(super) rows: Vec<Row>,
    /// Number of omitted cookies.
    pub(super) more: usize,
}

impl List {
    /// Number of cookies, including omitted ones.
    pub(super) fn count(&self) -> usize {
        self.rows.len().saturating_add(self.more)
    }

    /// The heading of the list.
    pub(super) fn title(&self, texts: &Texts) -> String {
        fill(&texts.cookie_list, &[("count", &self.count().to_string())]).into_owned()
    }

    /// The text below a truncated list.
    pub(super) fn more_text(&self, texts: &Texts) -> String {
        fill(&texts.more, &[("count", &self.more.to_string())]).into_owned()
    }

    /// The most frequent cookies, up to `most`, sorted by name.
    fn of(mut found: Vec<(u64, Row)>, most: usize) -> Self {
        found.sort_by(|(a_seen, a), (b_seen, b)| {
            (Reverse(a_seen), &a.name).cmp(&(Reverse(b_seen), &b.name))
        });
        let more = found.len().saturating_sub(most);
        found.truncate(most);
        let mut rows: Vec<Row> = found.into_iter().map(|(_, row)| row).collect();
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        Self { rows, more }
    }
}

/// The cookies of a site by category. `None` is the category of unclassified cookies.
pub(super) fn cookies(
    filter: &Filter,
    locale: &Locale,
    most: usize,
) -> BTreeMap<Option<Category>, List> {
    let settings = filter.settings();
    let catalogue = &settings.policy.catalogue;
    let max_age = i64::from(settings.reader.max_age_days).saturating_mul(DAY);
    let mut found: BTreeMap<Option<Category>, Vec<(u64, Row)>> = BTreeMap::new();
    let mut listed = vec![false; catalogue.cookie_rules()];
    for seen in filter.inventory().cookies(catalogue) {
        let count = seen.counts.set.saturating_add(seen.counts.sent);
        match seen.rule {
            Some(Rule::Cookie(rule)) => {
                if let Some(listed) = listed.get_mut(rule.number) {
                    *listed = true;
                }
                let row = known(rule, Some(&seen), locale, max_age);
                found.entry(Some(rule.entry.category)).or_default().push((count, row));
            }
            // Visitors can send anything: an unclassified cookie is listed only if the origin sets
            // it.
            None if seen.counts.set > 0 => {
                let lifetime = seen_lifetime(&seen);
                let category = seen.presumed.map(|_| Category::NECESSARY);
                let row = Row {
                    name: seen.name,
                    vendor: None,
                    purpose: None,
                    untranslated: false,
                    lifetime: lifetime
                        .and_then(|lifetime| locale.lifetime(lifetime))
                        .map(Cow::into_owned),
                };
                found.entry(category).or_default().push((count, row));
            }
            _ => {}
        }
    }
    // Cookies in the config are listed even if they were not seen; so is consentry's own cookie.
    let unseen = listed.iter().enumerate().filter(|(_, listed)| !**listed);
    for rule in unseen.filter_map(|(number, _)| catalogue.cookie_rule(number)) {
        let own = rule.tier == RulePriority::Consent && rule.pattern.as_str() == Native::COOKIE;
        if own || matches!(rule.tier, RulePriority::Config | RulePriority::Site) {
            let row = known(rule, None, locale, max_age);
            found.entry(Some(rule.entry.category)).or_default().push((u64::MAX, row));
        }
    }
    found.into_iter().map(|(category, found)| (category, List::of(found, most))).collect()
}

fn known(rule: &CookieRule, seen: Option<&SeenItem<'_>>, locale: &Locale, max_age: i64) -> Row {
    let entry = &rule.entry;
    let in_words = |lifetime| locale.lifetime(lifetime).map(Cow::into_owned);
    let lifetime = if rule.pattern.as_str() == Native::COOKIE {
        in_words(CookieLifetime::of_seconds(max_age))
    } else {
        let written = || match (entry.lifetime.as_deref()?, rule.tier) {
            (text, RulePriority::Config | RulePriority::Site) => {
                CookieLifetime::parse(text).map_or_else(|| Some(text.to_owned()), in_words)
            }
            (text, _) => CookieLifetime::parse(text).and_then(in_words),
        };
        seen.and_then(seen_lifetime).and_then(in_words).or_else(written)
    };
    let from_catalogue = matches!(rule.tier, RulePriority::Catalogue(_));
    // The words of the catalogue's own rules are English details for operators.
    let words = entry.purpose.as_ref().filter(|_| !from_catalogue || entry.kind.is_none());
    let words = words.map(|purpose| purpose.text(&locale.tag));
    Row {
        name: rule.pattern.shown().into_owned(),
        // The vendor of a consent cookie is an internal name for logs.
        vendor: entry.vendor.as_deref().filter(|_| rule.tier != RulePriority::Consent).map(
            |vendor| {
                if vendor == THIS_SITE { locale.texts.this_site.clone() } else { vendor.to_owned() }
            },
        ),
        purpose: words.or_else(|| locale.kind(entry.kind?)).map(str::to_owned),
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

    #[test]
    fn a_truncated_list_keeps_the_most_frequent_cookies_sorted_by_name() {
        let row = |name: &str| Row {
            name: name.to_owned(),
            vendor: None,
            purpose: None,
            untranslated: false,
            lifetime: None,
        };
        let found = [(1, "a"), (9, "z"), (5, "m"), (5, "b")];
        let list = List::of(found.iter().map(|(count, name)| (*count, row(name))).collect(), 2);
        let names: Vec<&str> = list.rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!((names, list.more, list.count()), (vec!["b", "z"], 2, 4));
    }
}
