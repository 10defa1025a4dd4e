//! Parser for the core segment of TC strings (IAB Transparency and Consent Framework v2, "Consent
//! string and vendor list formats"). Reads consent to purposes, special features and vendors, and
//! the publisher's restrictions.

use super::bit_reader::BitReader;
use super::category::{Category, CategorySet};
use super::source::{Reading, SourceSettings};
use super::vendors::{VendorSet, Vendors};
use super::votes::{IdMap, Votes};

/// Minimum length of a core segment, in bits. Shorter ones are truncated.
const LEAST_BITS: usize = 213;
const LAST_UPDATED: usize = 42;
const SPECIAL_FEATURE_OPT_INS: usize = 140;
const PURPOSE_CONSENTS: usize = 152;
const PURPOSE_ONE_TREATMENT: usize = 200;
const MAX_VENDOR_ID: usize = 213;

/// The number of purposes in the format.
const PURPOSES: usize = 24;

/// Default categories of the purposes. Purpose 1 is required in addition.
const DEFAULTS: &[(&str, Category)] = &[
    ("2", Category::TARGETING),
    ("3", Category::TARGETING),
    ("4", Category::TARGETING),
    ("5", Category::FUNCTIONAL),
    ("6", Category::FUNCTIONAL),
    ("8", Category::ANALYTICS),
    ("9", Category::ANALYTICS),
];

/// TC string parser with a site's settings.
#[derive(Debug)]
pub(super) struct TcStrings {
    /// The categories of each purpose. Index 0 is purpose 1.
    purposes: [CategorySet; PURPOSES],
    /// The categories of each special feature, named `special-feature-1` and so on in the map.
    special_features: [CategorySet; 12],
    coverage: CategorySet,
    map: IdMap,
    vendors: Vendors,
}

impl TcStrings {
    pub(super) fn new(settings: &SourceSettings) -> Self {
        let map = IdMap::new(DEFAULTS, &settings.map);
        Self {
            purposes: std::array::from_fn(|at| map.categories(&(at + 1).to_string())),
            special_features: std::array::from_fn(|at| {
                map.categories(&format!("special-feature-{}", at + 1))
            }),
            coverage: map.coverage().difference(CategorySet::NECESSARY),
            vendors: settings.vendors.clone(),
            map,
        }
    }

    /// Parses a TC string. Nothing is granted without purpose 1 (storage), unless the publisher's
    /// country does not require it. Legitimate interest never grants a cookie.
    pub(super) fn read(&self, text: &str) -> Reading {
        let core = text.split('.').next().unwrap_or_default();
        self.read_core(core).unwrap_or(Reading::Malformed)
    }

    fn read_core(&self, core: &str) -> Option<Reading> {
        let mut bits = BitReader::of(core).filter(|bits| bits.len() >= LEAST_BITS)?;
        if bits.number(6)? != 2 {
            return None;
        }
        bits.seek(LAST_UPDATED);
        let decided_at = i64::try_from(bits.number(36)? / 10).ok()?;
        bits.seek(PURPOSE_ONE_TREATMENT);
        let asks_for_one = !bits.bit()?;
        let mut votes = Votes::default();
        bits.seek(SPECIAL_FEATURE_OPT_INS);
        for categories in self.special_features {
            votes.vote(categories, bits.bit()?);
        }
        bits.seek(PURPOSE_CONSENTS);
        for number in 1..=PURPOSES {
            let granted = bits.bit()?;
            if number > 1 || asks_for_one {
                self.vote(&mut votes, number, granted);
            }
        }
        let refused = match self.read_vendors(&mut bits, &mut votes) {
            Some(refused) => refused,
            // A truncated string is sufficient if the rules name no vendor.
            None if self.vendors.is_empty() => VendorSet::EMPTY,
            None => return None,
        };
        Some(Reading::decision(votes, &self.map, Some(decided_at)).refusing(refused))
    }

    /// The vendors without the visitor's consent, and those restricted by the publisher. Also
    /// refuses purposes that the publisher restricts for all vendors.
    fn read_vendors(&self, bits: &mut BitReader, votes: &mut Votes) -> Option<VendorSet> {
        bits.seek(MAX_VENDOR_ID);
        let consented = Section::read(bits)?;
        let mut refused = VendorSet::EMPTY;
        for (vendor, id, _) in self.vendors.iter() {
            if !consented.contains(bits, id)? {
                refused.insert(vendor);
            }
        }
        bits.seek(consented.end);
        let with_legitimate_interest = Section::read(bits)?;
        bits.seek(with_legitimate_interest.end);
        for _ in 0..bits.number(12)? {
            let purpose = usize::try_from(bits.number(6)?).ok()?;
            // Not allowed, or legitimate interest only: consent to these vendors has no effect.
            let forbids = matches!(bits.number(2)?, 0 | 2);
            let mut first_allowed = 1;
            ranges(bits, |first, last| {
                if !forbids {
                    return;
                }
                if first <= first_allowed {
                    first_allowed = first_allowed.max(last + 1);
                }
                for (vendor, id, category) in self.vendors.iter() {
                    let needs = purpose == 1 || self.purpose(purpose).contains(category);
                    if needs && (first..=last).contains(&u64::from(id)) {
                        refused.insert(vendor);
                    }
                }
            })?;
            if consented.most > 0 && first_allowed > consented.most {
                self.vote(votes, purpose, false);
            }
        }
        Some(refused)
    }

    /// The categories of a purpose, counted from 1.
    fn purpose(&self, number: usize) -> CategorySet {
        number
            .checked_sub(1)
            .and_then(|at| self.purposes.get(at))
            .copied()
            .unwrap_or(CategorySet::EMPTY)
    }

    /// Records the answer for a purpose. Every other purpose requires purpose 1.
    fn vote(&self, votes: &mut Votes, number: usize, granted: bool) {
        votes.vote(self.purpose(number), granted);
        if number == 1 && !granted {
            votes.vote(self.coverage, false);
        }
    }
}

/// A vendor section: the ids with consent, or with legitimate interest.
struct Section {
    /// The highest id.
    most: u64,
    is_ranges: bool,
    /// Positions of the first bit or range, and after the last one.
    start: usize,
    end: usize,
}

impl Section {
    fn read(bits: &mut BitReader) -> Option<Self> {
        let most = bits.number(16)?;
        let is_ranges = bits.bit()?;
        let start = bits.position();
        if is_ranges {
            ranges(bits, |_, _| {})?;
        } else {
            bits.seek(start + usize::try_from(most).ok()?);
        }
        Some(Self { most, is_ranges, start, end: bits.position() })
    }

    /// Whether the section contains an id. `None` if the section is truncated.
    fn contains(&self, bits: &mut BitReader, id: u16) -> Option<bool> {
        let id = u64::from(id);
        if self.is_ranges {
            let mut found = false;
            bits.seek(self.start);
            ranges(bits, |first, last| found |= (first..=last).contains(&id))?;
            return Some(found);
        }
        if !(1..=self.most).contains(&id) {
            return Some(false);
        }
        bits.seek(self.start + usize::try_from(id).ok()? - 1);
        bits.bit()
    }
}

/// Parses a list of vendor ranges, which starts with the number of ranges.
fn ranges(bits: &mut BitReader, mut each: impl FnMut(u64, u64)) -> Option<()> {
    for _ in 0..bits.number(12)? {
        let is_range = bits.bit()?;
        let first = bits.number(16)?;
        let last = if is_range { bits.number(16)? } else { first };
        each(first, last);
    }
    Some(())
}
