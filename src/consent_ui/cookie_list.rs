//! Cookie list for visitors: cookies in the config and cookies seen on the site, with their
//! catalogue data.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::catalogue::{CookieRule, RulePriority};
use crate::consent::Category;
use crate::consent::sources::Native;
use crate::filter::{Filter, Rule, SeenItem};
use crate::locale::{Texts, fill};

/// One cookie.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// The name, or a pattern.
    pub(super) name: String,
    pub(super) vendor: Option<String>,
    pub(super) purpose: Option<String>,
    days: Option<Days>,
    /// From the built-in catalogue, whose texts are in English.
    pub(super) built_in: bool,
}

/// The lifetime of a cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Days {
    Session,
    LessThanOne,
    Number(i64),
}

const DAY: i64 = 24 * 60 * 60;

impl Days {
    fn of_seconds(seconds: i64) -> Self {
        match seconds / DAY {
            ..1 => Self::LessThanOne,
            days => Self::Number(days),
        }
    }

    /// Parses a number with a unit, such as `2 years`. `None` for anything else.
    fn of_words(words: &str) -> Option<Self> {
        if words == "session" {
            return Some(Self::Session);
        }
        let (number, unit) = words.split_once(' ')?;
        let number: i64 = number.parse().ok()?;
        let seconds = match unit.strip_suffix('s').unwrap_or(unit) {
            "second" => 1,
            "minute" => 60,
            "hour" => 60 * 60,
            "day" => DAY,
            "week" => 7 * DAY,
            "month" => 30 * DAY,
            "year" => 365 * DAY,
            _ => return None,
        };
        Some(Self::of_seconds(number.checked_mul(seconds)?))
    }
}

impl Row {
    /// The lifetime as text, if known.
    pub(super) fn lifetime(&self, texts: &Texts) -> Option<String> {
        Some(match self.days? {
            Days::Session => texts.session.clone(),
            Days::LessThanOne => "< 1".to_owned(),
            Days::Number(days) => days.to_string(),
        })
    }
}

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
pub(super) fn cookies(filter: &Filter, most: usize) -> BTreeMap<Option<Category>, List> {
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
                let row = known(rule, Some(&seen), max_age);
                found.entry(Some(rule.entry.category)).or_default().push((count, row));
            }
            // Visitors can send anything: an unclassified cookie is listed only if the origin sets
            // it.
            None if seen.counts.set > 0 => {
                let days = of_attributes(&seen);
                let category = seen.presumed.map(|_| Category::NECESSARY);
                let row =
                    Row { name: seen.name, vendor: None, purpose: None, days, built_in: false };
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
            let row = known(rule, None, max_age);
            found.entry(Some(rule.entry.category)).or_default().push((u64::MAX, row));
        }
    }
    found.into_iter().map(|(category, found)| (category, List::of(found, most))).collect()
}

fn known(rule: &CookieRule, seen: Option<&SeenItem<'_>>, max_age: i64) -> Row {
    let name = rule.pattern.as_str();
    let days = if name == Native::COOKIE {
        Some(Days::of_seconds(max_age))
    } else {
        let written = rule.entry.lifetime.as_deref().and_then(Days::of_words);
        seen.and_then(of_attributes).or(written)
    };
    Row {
        name: rule.pattern.shown().into_owned(),
        // The vendor of a consent cookie is an internal name for logs.
        vendor: rule
            .entry
            .vendor
            .as_deref()
            .filter(|_| rule.tier != RulePriority::Consent)
            .map(str::to_owned),
        purpose: rule.entry.purpose.as_deref().map(str::to_owned),
        days,
        built_in: matches!(rule.tier, RulePriority::Catalogue(_) | RulePriority::Consent),
    }
}

fn of_attributes(seen: &SeenItem<'_>) -> Option<Days> {
    let attributes = seen.attributes.as_ref()?;
    Some(attributes.lifetime_seconds.map_or(Days::Session, Days::of_seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_in_words_convert_to_days() {
        for (words, days) in [
            ("2 years", Some(Days::Number(730))),
            ("1 day", Some(Days::Number(1))),
            ("20 hours", Some(Days::LessThanOne)),
            ("session", Some(Days::Session)),
            ("6 months", Some(Days::Number(180))),
            ("up to 1 year", None),
            ("99999999999999999 years", None),
            ("", None),
        ] {
            assert_eq!(Days::of_words(words), days, "{words}");
        }
    }

    #[test]
    fn a_truncated_list_keeps_the_most_frequent_cookies_sorted_by_name() {
        let row = |name: &str| Row {
            name: name.to_owned(),
            vendor: None,
            purpose: None,
            days: None,
            built_in: false,
        };
        let found = [(1, "a"), (9, "z"), (5, "m"), (5, "b")];
        let list = List::of(found.iter().map(|(count, name)| (*count, row(name))).collect(), 2);
        let names: Vec<&str> = list.rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!((names, list.more, list.count()), (vec!["b", "z"], 2, 4));
    }
}
