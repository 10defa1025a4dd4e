//! What became of a page.

/// What became of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The banner was inserted.
    Banner,
    /// It is held against the visitor's consent, without a banner.
    Guarded,
    /// It passed as it is, or what was left of it, for it could not be changed.
    Failed,
}

impl Outcome {
    /// The position among [`telemetry::PAGE_OUTCOMES`](crate::telemetry::PAGE_OUTCOMES).
    pub fn index(self) -> usize {
        self as usize
    }
}
