//! What an adapter for one tool's consent cookie is.
//!
//! A pure function of cookies. It says what its cookie says; whether the decision is too old for
//! the site is decided once for all adapters by [`ConsentReader`](super::ConsentReader).

use time::Date;

use super::category::{Categories, CategorySet};
use crate::cookie::Cookies;

/// What one adapter found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// The tool's cookies are absent, or say that the visitor has not answered yet.
    NoDecision,
    /// A cookie of the tool is there and cannot be read.
    Malformed,
    /// Every readable copy of the decision, in the order of the cookies. Never empty.
    Decisions(Vec<SourceDecision>),
}

/// One decision of a visitor. A category in neither set was not asked for by the tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceDecision {
    /// Categories that the visitor granted.
    pub granted: CategorySet,
    /// Categories that the visitor refused.
    pub denied: CategorySet,
    /// When the visitor decided, in Unix seconds, where the cookie carries it.
    pub decided_at: Option<i64>,
    /// The date of the notice that the visitor saw, where the cookie carries it.
    pub notice_date: Option<Date>,
}

/// An adapter for one tool's consent cookie.
pub trait ConsentSource: std::fmt::Debug + Send + Sync {
    /// The adapter's name in the config, the logs and the metrics.
    fn name(&self) -> &'static str;

    /// The exact names of the cookies that the tool keeps its decision in: they are necessary.
    fn cookie_names(&self) -> Vec<String>;

    /// Reads the tool's decision from a request's cookies.
    fn read(&self, cookies: &Cookies<'_>, categories: &Categories) -> Reading;
}
