//! Outcome of rewriting a page.

/// Outcome of rewriting a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageOutcome {
    /// The banner was inserted.
    Banner,
    /// Loads and storage are restricted to the visitor's consent, without a banner.
    Guarded,
    /// The page could not be rewritten. It passed unchanged or incomplete.
    Failed,
}

impl PageOutcome {
    /// The index in `PAGE_OUTCOMES` of the telemetry.
    pub fn index(self) -> usize {
        self as usize
    }
}
