//! The core of a TC string (IAB Transparency and Consent Framework v2, "Consent string and vendor
//! list formats"): which purposes the visitor consents to.

use super::bits::Bits;
use super::category::CategorySet;
use super::source::Reading;
use super::votes::{IdMap, Votes};

/// A core that ends before this many bits was cut off.
const LEAST_BITS: usize = 213;
const LAST_UPDATED: usize = 42;
const PURPOSE_CONSENTS: usize = 152;
/// The purposes that the framework has room for, as the map names them.
const PURPOSES: [&str; 24] = [
    "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17",
    "18", "19", "20", "21", "22", "23", "24",
];

/// Reads a TC string. Without purpose 1, which is to store anything at all, nothing is granted;
/// legitimate interest never grants a cookie.
pub(super) fn read(text: &str, map: &IdMap) -> Reading {
    let core = text.split('.').next().unwrap_or_default();
    read_core(core, map).unwrap_or(Reading::Malformed)
}

fn read_core(core: &str, map: &IdMap) -> Option<Reading> {
    let mut bits = Bits::of(core).filter(|bits| bits.len() >= LEAST_BITS)?;
    if bits.number(6)? != 2 {
        return None;
    }
    bits.seek(LAST_UPDATED);
    let decided_at = i64::try_from(bits.number(36)? / 10).ok()?;
    bits.seek(PURPOSE_CONSENTS);
    let mut votes = Votes::default();
    for purpose in PURPOSES {
        let granted = bits.bit()?;
        votes.vote(map.categories(purpose), granted);
        if purpose == "1" && !granted {
            votes.vote(map.reach().difference(CategorySet::NECESSARY), false);
        }
    }
    Some(Reading::decision(votes, map, Some(decided_at)))
}
