//! Observations of one cookie or beacon. Every request updates them, so all counters are atomic.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering::Relaxed};

use serde::Serialize;

use crate::catalogue::{Presumption, SessionCompanion};
use crate::cookie::SetCookie;

/// Maximum length of a domain, in bytes. Longer ones are ignored.
const MAX_DOMAIN_BYTES: usize = 256;

/// The direction of an observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// `Set-Cookie` of the origin.
    Origin,
    /// `Cookie` of a visitor, or a beacon request.
    Visitor,
}

/// The decision about an item: whether it may pass, and whether the visitor has decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ItemDecision {
    pub(super) permitted: bool,
    pub(super) decided: bool,
    /// Why the cookie is presumed necessary, if it is.
    pub(super) presumed: Option<Presumption>,
}

/// Observations of one cookie or beacon.
#[derive(Debug)]
pub(super) struct Observation {
    first: i64,
    last: AtomicI64,
    /// Indexed by direction, by whether the visitor had decided, and by whether the item may pass.
    counts: [[[AtomicU64; 2]; 2]; 2],
    attributes: OnceLock<Attributes>,
    /// How the cookie was set together with a session, by its rank in [`SessionCompanion::ALL`].
    companion: AtomicU8,
    /// Why the cookie was last presumed necessary, by its rank in [`Presumption::ALL`].
    presumed: AtomicU8,
}

/// The attributes of a cookie when the origin first set it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attributes {
    /// Scripts cannot read the cookie.
    pub http_only: bool,
    /// The cookie is sent over HTTPS only.
    pub secure: bool,
    /// `SameSite`, if it is one of the three known values.
    pub same_site: Option<&'static str>,
    /// Lifetime in seconds. `None` for a session cookie.
    pub lifetime_seconds: Option<i64>,
    /// The `Domain` attribute. `None` for a host-only cookie.
    pub domain: Option<String>,
}

/// Counts of passed and stripped items.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PassCounts {
    /// Number of times it passed.
    pub passed: u64,
    /// Number of times it was stripped, or would have been in observe mode.
    pub stripped: u64,
}

/// The counts of one cookie or beacon.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ItemCounts {
    /// Number of times the origin set it.
    pub set: u64,
    /// Number of times a visitor sent it.
    pub sent: u64,
    /// Counts for visitors who have not decided.
    pub undecided: PassCounts,
    /// Counts for visitors who have decided.
    pub decided: PassCounts,
}

impl Observation {
    pub(super) fn new(now: i64) -> Self {
        Self {
            first: now,
            last: AtomicI64::new(now),
            counts: Default::default(),
            attributes: OnceLock::new(),
            companion: AtomicU8::new(0),
            presumed: AtomicU8::new(0),
        }
    }

    pub(super) fn record(&self, from: Direction, outcome: ItemDecision, now: i64) {
        let [of_origin, of_visitor] = &self.counts;
        let by_decision = if from == Direction::Origin { of_origin } else { of_visitor };
        let [undecided, decided] = by_decision;
        let [stripped, passed] = if outcome.decided { decided } else { undecided };
        let count = if outcome.permitted { passed } else { stripped };
        count.fetch_add(1, Relaxed);
        if let Some(evidence) = outcome.presumed {
            let rank = rank(&evidence, &Presumption::ALL);
            // Evidence from the origin is stronger than an entry in a visitor's list.
            let existing = self.presumed.load(Relaxed);
            if existing != rank && (existing == 0 || from == Direction::Origin) {
                self.presumed.store(rank, Relaxed);
            }
        }
        if self.last.load(Relaxed) != now {
            self.last.store(now, Relaxed);
        }
    }

    /// Stores the attributes, unless some are already stored.
    pub(super) fn record_attributes(&self, cookie: &SetCookie<'_>, now: i64) {
        if self.attributes.get().is_some() {
            return;
        }
        let (scope, access) = (cookie.scope(), cookie.access());
        if scope.deletes(now) {
            return;
        }
        let domain = scope.domain.filter(|domain| domain.len() <= MAX_DOMAIN_BYTES);
        let _ = self.attributes.set(Attributes {
            http_only: access.http_only,
            secure: scope.secure,
            same_site: access.same_site,
            lifetime_seconds: scope.lifetime(now),
            domain: domain.map(|domain| domain.escape_ascii().to_string()),
        });
    }

    /// Records how the origin sets the cookie together with a session. Stronger evidence is not
    /// overwritten.
    pub(super) fn record_companion(&self, companion: Option<SessionCompanion>) {
        let rank = companion.map_or(0, |companion| rank(&companion, &SessionCompanion::ALL));
        self.companion.fetch_max(rank, Relaxed);
    }

    pub(super) fn companion(&self) -> Option<SessionCompanion> {
        of_rank(&self.companion, &SessionCompanion::ALL)
    }

    pub(super) fn presumed(&self) -> Option<Presumption> {
        of_rank(&self.presumed, &Presumption::ALL)
    }

    /// An independent copy of the counts.
    pub(super) fn copy(&self) -> Self {
        let count = |count: &AtomicU64| AtomicU64::new(count.load(Relaxed));
        let counts = self.counts.each_ref().map(|by_decision| {
            by_decision.each_ref().map(|by_outcome| by_outcome.each_ref().map(count))
        });
        Self {
            first: self.first,
            last: AtomicI64::new(self.last()),
            counts,
            attributes: self.attributes.clone(),
            companion: AtomicU8::new(self.companion.load(Relaxed)),
            presumed: AtomicU8::new(self.presumed.load(Relaxed)),
        }
    }

    /// First seen, in Unix seconds.
    pub(super) fn first(&self) -> i64 {
        self.first
    }

    /// Last seen, in Unix seconds.
    pub(super) fn last(&self) -> i64 {
        self.last.load(Relaxed)
    }

    pub(super) fn attributes(&self) -> Option<&Attributes> {
        self.attributes.get()
    }

    pub(super) fn counts(&self) -> ItemCounts {
        let [set, sent] = self.counts.each_ref().map(|by_decision| {
            by_decision
                .each_ref()
                .map(|by_outcome| by_outcome.each_ref().map(|count| count.load(Relaxed)))
        });
        let [set_undecided, set_decided] = set;
        let [sent_undecided, sent_decided] = sent;
        let both =
            |[a, b]: [u64; 2], [c, d]: [u64; 2]| PassCounts { stripped: a + c, passed: b + d };
        ItemCounts {
            set: set.into_iter().flatten().sum(),
            sent: sent.into_iter().flatten().sum(),
            undecided: both(set_undecided, sent_undecided),
            decided: both(set_decided, sent_decided),
        }
    }
}

/// The index of a value plus one. 0 means none.
fn rank<T: PartialEq>(value: &T, all: &[T]) -> u8 {
    let index = all.iter().position(|existing| existing == value);
    index.and_then(|index| u8::try_from(index + 1).ok()).unwrap_or_default()
}

/// The value of a rank.
fn of_rank<T: Copy>(rank: &AtomicU8, all: &[T]) -> Option<T> {
    let index = usize::from(rank.load(Relaxed)).checked_sub(1)?;
    all.get(index).copied()
}
