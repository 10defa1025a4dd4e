//! Shapes that several tools' cookies have.

use serde_json::Value;

use super::decode;
use super::source::Reading;
use super::votes::{IdMap, Votes};

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
