//! What an adapter for one tool's consent cookie is.
//!
//! A pure function of cookies. It says what its cookie says; whether the decision is too old for
//! the site is decided once for all adapters by [`ConsentReader`](super::ConsentReader).

use std::sync::Arc;

use serde_json::Value;
use time::Date;

use super::category::{Categories, CategorySet};
use super::signing::CookieKeys;
use super::vendors::{VendorSet, Vendors};
use super::votes::{IdMap, Votes};
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
    /// Of the vendors that the site's rules name, those that the visitor refused.
    pub refused_vendors: VendorSet,
    /// The tool that wrote it, where the source asks several.
    pub tool: Option<&'static str>,
    /// Whether it was made on consentry's pages.
    pub own: bool,
    /// Why its grants are void, whatever its age. Its refusals still count.
    pub void: Option<Void>,
}

/// Why the grants of a decision are void, besides its age and the date of the notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Void {
    /// The decision was made for another revision of the tool's notice.
    OtherRevision,
    /// The signature is missing or invalid.
    Unsigned,
}

/// What the config says of one source.
#[derive(Debug, Clone)]
pub struct SourceSettings {
    /// The tool's ids with the categories that they stand for, over the defaults.
    pub map: Vec<(String, CategorySet)>,
    /// The cookie's name, where the tool lets a site choose it.
    pub cookie: Option<String>,
    /// The revision in force, where the tool has one. Decisions for another revision grant nothing.
    pub revision: Option<String>,
    /// Without a choice of the visitor, the tool says by itself that consent is not needed where the
    /// visitor is: whether that counts as its decision.
    pub implied: Implied,
    /// Whether a notice that was closed without an answer grants everything.
    pub dismiss_grants: bool,
    /// Whether OneTrust's groups count only beside the cookie that says that the visitor has answered.
    pub require_alert_box_closed: bool,
    /// The vendors that the site's rules name.
    pub vendors: Vendors,
    /// The keys that sign the native cookie.
    pub keys: Option<Arc<CookieKeys>>,
    /// How a cookie of the site's own making is written.
    pub generic: GenericSettings,
}

impl Default for SourceSettings {
    fn default() -> Self {
        Self {
            map: Vec::new(),
            cookie: None,
            revision: None,
            implied: Implied::Accept,
            dismiss_grants: false,
            require_alert_box_closed: true,
            vendors: Vendors::default(),
            keys: None,
            generic: GenericSettings::default(),
        }
    }
}

/// What a tool's own "consent is not needed here" counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Implied {
    /// The tool's decision.
    Accept,
    /// No decision.
    Ignore,
}

/// How a cookie of the site's own making is written.
#[derive(Debug, Clone)]
pub struct GenericSettings {
    /// The form of the value, once decoded.
    pub format: Format,
    /// The value is percent-encoded.
    pub percent_encoded: bool,
    /// The value is base64, inside of any percent-encoding.
    pub base64: bool,
    /// Where the answers are in JSON: keys joined by dots.
    pub path: String,
    /// Where the time of the decision is in JSON.
    pub time: Option<String>,
    /// What stands between the entries of a list or a map.
    pub separator: String,
    /// The answers that mean yes; all others mean no.
    pub truthy: Vec<String>,
}

impl Default for GenericSettings {
    fn default() -> Self {
        Self {
            format: Format::Json,
            percent_encoded: true,
            base64: false,
            path: String::new(),
            time: None,
            separator: ",".to_owned(),
            truthy: ["true", "1", "yes", "allow", "granted"].map(str::to_owned).to_vec(),
        }
    }
}

/// The form of a cookie of the site's own making.
#[derive(Debug, Clone)]
pub enum Format {
    /// JSON: an object of answers, a list of what is granted, or one answer for everything.
    Json,
    /// `id=answer&id=answer`.
    Query,
    /// What is granted.
    List,
    /// `id:answer,id:answer`.
    Map,
    /// The named groups of an expression are the ids, what they match the answers.
    Regex(regex_lite::Regex),
    /// One answer for everything.
    Flag,
}

impl SourceSettings {
    /// Whether a decision for this revision is one for the revision in force.
    pub fn is_in_force(&self, revision: Option<&Value>) -> bool {
        self.revision.as_ref().is_none_or(|in_force| match revision {
            Some(Value::String(text)) => text == in_force,
            Some(Value::Number(number)) => number.to_string() == *in_force,
            _ => false,
        })
    }

    /// The cookie's name, as configured or as the tool has it.
    pub fn cookie_or(&self, usual: &str) -> String {
        self.cookie.as_deref().unwrap_or(usual).to_owned()
    }
}

impl Reading {
    /// What the copies of one cookie say: an unreadable one does not count beside a readable one.
    pub fn of_copies<'a>(
        copies: impl Iterator<Item = &'a [u8]>,
        read: impl Fn(&'a [u8]) -> Reading,
    ) -> Reading {
        copies.map(read).fold(Reading::NoDecision, Reading::and)
    }

    /// What two readings say together: every decision of both, and only without one whether either
    /// was unreadable.
    pub fn and(self, other: Reading) -> Reading {
        match (self, other) {
            (Reading::Decisions(mut all), Reading::Decisions(more)) => {
                all.extend(more);
                Reading::Decisions(all)
            }
            (Reading::Decisions(all), _) | (_, Reading::Decisions(all)) => Reading::Decisions(all),
            (Reading::Malformed, _) | (_, Reading::Malformed) => Reading::Malformed,
            (Reading::NoDecision, Reading::NoDecision) => Reading::NoDecision,
        }
    }

    /// One decision, from what a tool's ids say.
    pub fn decision(votes: Votes, map: &IdMap, decided_at: Option<i64>) -> Reading {
        let (granted, denied) = votes.result(map.reach());
        Reading::Decisions(vec![SourceDecision {
            granted,
            denied,
            decided_at,
            notice_date: None,
            refused_vendors: VendorSet::EMPTY,
            tool: None,
            own: false,
            void: None,
        }])
    }

    /// The same, with void grants unless it was made for the revision in force.
    pub fn in_revision(mut self, in_force: bool) -> Reading {
        if let Reading::Decisions(decisions) = &mut self
            && !in_force
        {
            decisions.iter_mut().for_each(|decision| decision.void = Some(Void::OtherRevision));
        }
        self
    }

    /// The same, as this tool's.
    pub fn by(mut self, tool: &'static str) -> Reading {
        if let Reading::Decisions(decisions) = &mut self {
            decisions.iter_mut().for_each(|decision| decision.tool = Some(tool));
        }
        self
    }

    /// The same, with these vendors refused in each decision.
    pub fn refusing(mut self, vendors: VendorSet) -> Reading {
        if let Reading::Decisions(decisions) = &mut self {
            decisions.iter_mut().for_each(|decision| decision.refused_vendors = vendors);
        }
        self
    }
}

/// An adapter for one tool's consent cookie.
pub trait ConsentSource: std::fmt::Debug + Send + Sync {
    /// The adapter's name in the config, the logs and the metrics.
    fn name(&self) -> &'static str;

    /// The names, or patterns with `*`, of the cookies that the tool keeps its decision in: they are
    /// necessary.
    fn cookie_names(&self) -> Vec<String>;

    /// Reads the tool's decision from a request's cookies.
    fn read(&self, cookies: &Cookies<'_>, categories: &Categories) -> Reading;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_revision_voids_every_copy_of_a_decision() {
        let copy = || Reading::decision(Votes::default(), &IdMap::new(&[], &[]), None);
        for (in_force, void) in [(true, None), (false, Some(Void::OtherRevision))] {
            let Reading::Decisions(all) = copy().and(copy()).and(copy()).in_revision(in_force)
            else {
                panic!("three decisions");
            };
            assert_eq!(all.iter().map(|decision| decision.void).collect::<Vec<_>>(), [void; 3]);
        }
    }
}
