//! Observations indexed by rule number. Most rules never match, so slots are allocated in blocks.

use std::sync::OnceLock;

use super::observation::Observation;

/// Slots per block.
const SLOTS: usize = 32;

type Slots = [OnceLock<Box<Observation>>; SLOTS];

/// Observations indexed by rule number.
#[derive(Debug)]
pub(super) struct ByRule(Box<[OnceLock<Box<Slots>>]>);

impl ByRule {
    /// An empty table for this number of rules.
    pub(super) fn new(rules: usize) -> Self {
        Self((0..rules.div_ceil(SLOTS)).map(|_| OnceLock::new()).collect())
    }

    /// The slot of a rule; `None` beyond the last one.
    pub(super) fn slot(&self, number: usize) -> Option<&OnceLock<Box<Observation>>> {
        let slots = self.0.get(number / SLOTS)?;
        slots.get_or_init(|| Box::new([const { OnceLock::new() }; SLOTS])).get(number % SLOTS)
    }

    /// Records an observation of a rule.
    pub(super) fn record(&self, number: usize, now: i64, record: impl FnOnce(&Observation)) {
        if let Some(seen) = self.slot(number) {
            record(seen.get_or_init(|| Box::new(Observation::new(now))));
        }
    }

    /// All observations, each with its rule number.
    pub(super) fn seen(&self) -> impl Iterator<Item = (usize, &Observation)> {
        let slots = self.0.iter().enumerate().filter_map(|(at, slots)| Some((at, slots.get()?)));
        slots.flat_map(|(at, slots)| {
            let first = at * SLOTS;
            let seen = slots.iter().enumerate();
            seen.filter_map(move |(number, seen)| Some((first + number, &**seen.get()?)))
        })
    }

    /// Copies the observations of another catalogue's rules to the corresponding rules of this
    /// table.
    pub(super) fn move_from(&self, from: &Self, number_of: impl Fn(usize) -> Option<usize>) {
        for (number, seen) in from.seen() {
            if let Some(slot) = number_of(number).and_then(|number| self.slot(number)) {
                let _ = slot.set(Box::new(seen.copy()));
            }
        }
    }
}
