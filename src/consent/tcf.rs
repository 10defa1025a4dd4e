//! The core of a TC string (IAB Transparency and Consent Framework v2, "Consent string and vendor
//! list formats"): which purposes, special features and vendors the visitor consents to.

use super::bits::Bits;
use super::category::{Category, CategorySet};
use super::source::{Reading, SourceSettings};
use super::vendors::{VendorSet, Vendors};
use super::votes::{IdMap, Votes};

/// A core that ends before this many bits was cut off.
const LEAST_BITS: usize = 213;
const LAST_UPDATED: usize = 42;
const SPECIAL_FEATURE_OPT_INS: usize = 140;
const PURPOSE_CONSENTS: usize = 152;
const MAX_VENDOR_ID: usize = 213;

/// What the framework's purposes stand for; purpose 1 is asked for besides.
const DEFAULTS: &[(&str, Category)] = &[
    ("2", Category::TARGETING),
    ("3", Category::TARGETING),
    ("4", Category::TARGETING),
    ("5", Category::FUNCTIONAL),
    ("6", Category::FUNCTIONAL),
    ("8", Category::ANALYTICS),
    ("9", Category::ANALYTICS),
];

/// What a site makes of TC strings.
#[derive(Debug)]
pub(super) struct TcStrings {
    /// The categories of each purpose that the framework has room for, the first of purpose 1.
    purposes: [CategorySet; 24],
    /// The same for the special features, `special-feature-1` and so on in the map.
    special_features: [CategorySet; 12],
    reach: CategorySet,
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
            reach: map.reach().difference(CategorySet::NECESSARY),
            vendors: settings.vendors.clone(),
            map,
        }
    }

    /// Reads a TC string. Without purpose 1, which is to store anything at all, nothing is granted;
    /// legitimate interest never grants a cookie.
    pub(super) fn read(&self, text: &str) -> Reading {
        let core = text.split('.').next().unwrap_or_default();
        self.read_core(core).unwrap_or(Reading::Malformed)
    }

    fn read_core(&self, core: &str) -> Option<Reading> {
        let mut bits = Bits::of(core).filter(|bits| bits.len() >= LEAST_BITS)?;
        if bits.number(6)? != 2 {
            return None;
        }
        bits.seek(LAST_UPDATED);
        let decided_at = i64::try_from(bits.number(36)? / 10).ok()?;
        let mut votes = Votes::default();
        bits.seek(SPECIAL_FEATURE_OPT_INS);
        for categories in self.special_features {
            votes.vote(categories, bits.bit()?);
        }
        bits.seek(PURPOSE_CONSENTS);
        for (at, categories) in self.purposes.into_iter().enumerate() {
            let granted = bits.bit()?;
            votes.vote(categories, granted);
            if at == 0 && !granted {
                votes.vote(self.reach, false);
            }
        }
        let refused = if self.vendors.is_empty() {
            VendorSet::EMPTY
        } else {
            self.vendors.all_but(&consented(&mut bits, &self.vendors)?)
        };
        Some(Reading::decision(votes, &self.map, Some(decided_at)).refusing(refused))
    }
}

/// Which of the site's vendors the string's vendor section consents to.
fn consented(bits: &mut Bits, vendors: &Vendors) -> Option<VendorSet> {
    bits.seek(MAX_VENDOR_ID);
    let most = bits.number(16)?;
    let mut consented = VendorSet::EMPTY;
    if !bits.bit()? {
        let section = bits.place();
        for (vendor, id) in vendors.iter().filter(|(_, id)| (1..=most).contains(&u64::from(*id))) {
            bits.seek(section + usize::from(id) - 1);
            if bits.bit()? {
                consented.insert(vendor);
            }
        }
        return Some(consented);
    }
    for _ in 0..bits.number(12)? {
        let range = bits.bit()?;
        let first = bits.number(16)?;
        let last = if range { bits.number(16)? } else { first };
        let within = |(_, id): &(_, u16)| (first..=last).contains(&u64::from(*id));
        vendors.iter().filter(within).for_each(|(vendor, _)| consented.insert(vendor));
    }
    Some(consented)
}
