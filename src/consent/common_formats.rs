//! Cookie formats that several consent tools share.

use serde_json::Value;

use super::category::{Categories, Category, CategorySet};
use super::decode;
use super::source::{Reading, SourceSettings};
use super::votes::{IdMap, Votes};
use crate::cookie::Cookies;

/// Seconds of a day.
const DAY_SECONDS: i64 = 24 * 60 * 60;

/// Categories of the storage signals of Google Consent Mode.
pub(super) const CONSENT_MODE: &[(&str, Category)] = &[
    ("analytics_storage", Category::ANALYTICS),
    ("ad_storage", Category::TARGETING),
    ("functionality_storage", Category::FUNCTIONAL),
    ("personalization_storage", Category::FUNCTIONAL),
];

/// A JSON object that maps each id to `true` or `false`.
pub(super) fn booleans(value: &[u8], map: &IdMap) -> Reading {
    let Some(Value::Object(entries)) = decode::json(value) else { return Reading::Malformed };
    match boolean_votes(&entries, map) {
        Some(votes) => Reading::decision(votes, map, None),
        None => Reading::Malformed,
    }
}

/// The votes of ids with boolean values. `None` if a value is not a boolean.
pub(super) fn boolean_votes<'a>(
    entries: impl IntoIterator<Item = (&'a String, &'a Value)>,
    map: &IdMap,
) -> Option<Votes> {
    let mut votes = Votes::default();
    for (id, answer) in entries {
        votes.vote(map.categories(id), answer.as_bool()?);
    }
    Some(votes)
}

/// A single answer for all categories.
pub(super) fn one_answer(
    granted: bool,
    categories: &Categories,
    decided_at: Option<i64>,
) -> Reading {
    let mut votes = Votes::default();
    votes.vote(categories.all(), granted);
    // Votes on all categories include social, so that social need not follow targeting.
    Reading::decision(votes, &IdMap::new(&[], &[]), decided_at)
}

/// A single answer for all categories of a tool. A refusal applies to every category of the site.
pub(super) fn uniform_answer(
    granted: bool,
    map: &IdMap,
    categories: &Categories,
    decided_at: Option<i64>,
) -> Reading {
    let mut votes = Votes::default();
    votes.vote(if granted { map.coverage() } else { categories.all() }, granted);
    Reading::decision(votes, map, decided_at)
}

/// The end of a decision whose cookie contains its lifetime in days.
pub(super) fn end_after(decided_at: Option<i64>, days: Option<i64>) -> Option<i64> {
    let days = days.filter(|days| *days > 0)?;
    Some(decided_at?.saturating_add(days.saturating_mul(DAY_SECONDS)))
}

/// The votes of the states of Google Consent Mode, by signal. `None` if a state is unknown.
pub(super) fn consent_mode_votes(signals: &Value, map: &IdMap) -> Option<Votes> {
    let mut votes = Votes::default();
    for (signal, state) in signals.as_object()? {
        let granted = match state.as_str()? {
            "granted" => true,
            "denied" => false,
            _ => return None,
        };
        votes.vote(map.categories(signal), granted);
    }
    Some(votes)
}

/// An opt-out. Without it, only the default is granted.
pub(super) fn opt_out(out: bool, of: CategorySet, map: &IdMap) -> Reading {
    let mut votes = Votes::default();
    if out {
        votes.vote(of, false);
    }
    Reading::decision(votes, map, None)
}

/// Whether the decision is for the current revision, if a separate cookie contains the revision.
pub(super) fn is_in_force(cookies: &Cookies<'_>, name: &[u8], settings: &SourceSettings) -> bool {
    let mut revisions = cookies.values(name).map(|value| decode::percent(value).map(Value::from));
    match revisions.next() {
        None => settings.is_in_force(None),
        Some(first) => std::iter::once(first)
            .chain(revisions)
            .all(|revision| settings.is_in_force(revision.as_ref())),
    }
}

/// One cookie per id, named by a prefix and the id, with one of two answers. `NoDecision` without
/// an answer for a category that can be refused.
pub(super) fn cookie_for_each(
    cookies: &Cookies<'_>,
    prefix: &[u8],
    [yes, no]: [&[u8]; 2],
    map: &IdMap,
) -> Reading {
    let mut votes = Votes::default();
    for (id, value) in cookies.beginning_with(prefix) {
        let Some(id) = decode::text(id) else { continue };
        if value == yes || value == no {
            votes.vote(map.categories(id), value == yes);
        }
    }
    if votes.has_answer() { Reading::decision(votes, map, None) } else { Reading::NoDecision }
}
