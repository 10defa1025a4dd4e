//! What was seen, by the number of the rule that knows it. Most rules are never seen: slots are allocated some at a time.

use std::sync::OnceLock;

use super::seen::Seen;

/// How many slots are allocated at a time.
const SLOTS: usize = 32;

type Slots = [OnceLock<Box<Seen>>; SLOTS];

/// What was seen, by the number of its rule.
#[derive(Debug)]
pub(super) struct ByRule(Box<[OnceLock<Box<Slots>>]>);

impl ByRule {
    /// Nothing was seen yet of this many rules.
    pub(super) fn new(rules: usize) -> Self {
        Self((0..rules.div_ceil(SLOTS)).map(|_| OnceLock::new()).collect())
    }

    /// The slot of a rule; `None` beyond the last one.
    pub(super) fn slot(&self, number: usize) -> Option<&OnceLock<Box<Seen>>> {
        let slots = self.0.get(number / SLOTS)?;
        slots.get_or_init(|| Box::new([const { OnceLock::new() }; SLOTS])).get(number % SLOTS)
    }

    /// Notes something of a rule.
    pub(super) fn note(&self, number: usize, now: i64, note: impl FnOnce(&Seen)) {
        if let Some(seen) = self.slot(number) {
            note(seen.get_or_init(|| Box::new(Seen::new(now))));
        }
    }

    /// What was seen, with the number of its rule.
    pub(super) fn seen(&self) -> impl Iterator<Item = (usize, &Seen)> {
        let slots = self.0.iter().enumerate().filter_map(|(at, slots)| Some((at, slots.get()?)));
        slots.flat_map(|(at, slots)| {
            let first = at * SLOTS;
            let seen = slots.iter().enumerate();
            seen.filter_map(move |(number, seen)| Some((first + number, &**seen.get()?)))
        })
    }

    /// Copies what was seen under each rule of another catalogue to the rule in its place.
    pub(super) fn take_over(&self, from: &Self, place: impl Fn(usize) -> Option<usize>) {
        for (number, seen) in from.seen() {
            if let Some(place) = place(number).and_then(|place| self.slot(place)) {
                let _ = place.set(Box::new(seen.copy()));
            }
        }
    }
}
