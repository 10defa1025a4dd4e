//! Shapes that several tools' cookies have.

use serde_json::Value;

use super::category::CategorySet;
use super::decode;
use super::source::Reading;
use super::votes::{IdMap, Votes};
use crate::cookie::Cookies;

/// A JSON object of ids, each with `true` or `false` and nothing else.
pub(super) fn booleans(value: &[u8], map: &IdMap) -> Reading {
    let Some(Value::Object(entries)) = decode::json(value) else { return Reading::Malformed };
    let mut votes = Votes::default();
    for (id, answer) in &entries {
        let Value::Bool(answer) = answer else { return Reading::Malformed };
        votes.vote(map.categories(id), *answer);
    }
    Reading::decision(votes, map, None)
}

/// A cookie for each id, named by a prefix and the id, with one of two answers. Without an answer on
/// anything that may be refused there is no decision.
pub(super) fn cookie_for_each(
    cookies: &Cookies<'_>,
    prefix: &[u8],
    [yes, no]: [&[u8]; 2],
    map: &IdMap,
) -> Reading {
    let (mut votes, mut said) = (Votes::default(), false);
    for pair in cookies.pairs() {
        let Some(id) = pair.name.strip_prefix(prefix).and_then(decode::text) else { continue };
        let categories = map.categories(id);
        if pair.value == yes || pair.value == no {
            votes.vote(categories, pair.value == yes);
            said |= categories.difference(CategorySet::NECESSARY) != CategorySet::EMPTY;
        }
    }
    if said { Reading::decision(votes, map, None) } else { Reading::NoDecision }
}
