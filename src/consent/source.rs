//! Consent sources: the trait and common types for adapters that read a consent tool's cookies.
//!
//! An adapter is a pure function of cookies and returns their content.
//! [`ConsentReader`](super::ConsentReader) decides for all adapters whether a decision is too old.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::Date;

use super::category::{Categories, CategorySet};
use super::signing::CookieKeys;
use super::vendors::{VendorSet, Vendors};
use super::votes::{IdMap, Votes};
use crate::cookie::Cookies;

/// The result of one adapter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// The tool's cookies are absent, or the visitor has not decided yet.
    NoDecision,
    /// A cookie of the tool is malformed.
    Malformed,
    /// Every readable copy of the decision, in cookie order. Never empty.
    Decisions(Vec<SourceDecision>),
}

/// One decision of a visitor. The tool did not ask about categories that are in neither set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceDecision {
    /// Categories that the visitor granted.
    pub granted: CategorySet,
    /// Categories that the visitor refused.
    pub denied: CategorySet,
    /// Time of the decision in Unix seconds, if the cookie contains it.
    pub decided_at: Option<i64>,
    /// Time at which the tool asks again, in Unix seconds, if the cookie contains it.
    pub ends_at: Option<i64>,
    /// Date of the notice that the visitor saw, if the cookie contains it.
    pub notice_date: Option<Date>,
    /// Refused vendors, limited to those named in the site's rules.
    pub refused_vendors: VendorSet,
    /// The tool that wrote the decision, if the source reads several tools.
    pub tool: Option<&'static str>,
    /// Whether the decision was made in the consent UI.
    pub own: bool,
    /// Why its grants are void, whatever its age. Its refusals stay valid.
    pub void: Option<Void>,
}

/// Why the grants of a decision are void, apart from its age and the notice date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Void {
    /// The decision was made for another revision of the tool's notice.
    OtherRevision,
    /// The signature is missing or invalid.
    Unsigned,
}

/// Settings of one source.
#[derive(Debug, Clone)]
pub struct SourceSettings {
    /// Categories of the tool's ids, which override the defaults.
    pub map: Vec<(String, CategorySet)>,
    /// The cookie name, if the site can choose it.
    pub cookie: Option<String>,
    /// The current revision, if the tool has revisions. Decisions for other revisions grant
    /// nothing.
    pub revision: Option<String>,
    /// Whether a decision that the tool writes without a choice of the visitor counts as a decision.
    /// `None` for the tool's default.
    pub implied: Option<Implied>,
    /// Whether closing the notice without an answer grants everything.
    pub dismiss_grants: bool,
    /// Whether OneTrust's groups are valid only with the cookie that records the visitor's answer.
    pub require_alert_box_closed: bool,
    /// The vendors named in the site's rules.
    pub vendors: Vendors,
    /// The keys that sign the native cookie.
    pub keys: Option<Arc<CookieKeys>>,
    /// Format of a custom cookie.
    pub generic: GenericSettings,
}

impl Default for SourceSettings {
    fn default() -> Self {
        Self {
            map: Vec::new(),
            cookie: None,
            revision: None,
            implied: None,
            dismiss_grants: false,
            require_alert_box_closed: true,
            vendors: Vendors::default(),
            keys: None,
            generic: GenericSettings::default(),
        }
    }
}

/// Treatment of decisions without a choice of the visitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Implied {
    /// Counts as a decision.
    Accept,
    /// Counts as no decision.
    Ignore,
}

/// Format of a custom cookie.
#[derive(Debug, Clone)]
pub struct GenericSettings {
    /// Format of the decoded value.
    pub format: Format,
    /// Encodings of the value, outermost first.
    pub encodings: Vec<Encoding>,
    /// Path of the answers in JSON: keys joined by dots.
    pub path: String,
    /// Path of the id within each entry, if the answers are a list of objects.
    pub id: Option<String>,
    /// Path of the answer within each entry.
    pub answer: Option<String>,
    /// Path of the decision time in JSON.
    pub time: Option<String>,
    /// Separator between the entries of a list or map.
    pub separator: String,
    /// Answers that mean "granted". All others mean "refused".
    pub truthy: Vec<String>,
}

impl Default for GenericSettings {
    fn default() -> Self {
        Self {
            format: Format::Json,
            encodings: vec![Encoding::Percent],
            path: String::new(),
            id: None,
            answer: None,
            time: None,
            separator: ",".to_owned(),
            truthy: ["true", "1", "yes", "allow", "granted"].map(str::to_owned).to_vec(),
        }
    }
}

/// Format of a custom cookie.
#[derive(Debug, Clone)]
pub enum Format {
    /// JSON: an object of answers, a list of granted ids, or a single answer for all categories.
    Json,
    /// `id=answer&id=answer`.
    Query,
    /// List of granted ids.
    List,
    /// `id:answer,id:answer`.
    Map,
    /// Regular expression: group names are ids, matches are answers.
    Regex(regex_lite::Regex),
    /// A single answer for all categories.
    Flag,
    /// TC string.
    Tcf,
    /// GPP string.
    Gpp,
}

/// Encoding of a custom cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Percent-encoding.
    Percent,
    /// Base64.
    Base64,
}

impl SourceSettings {
    /// Whether a decision with this revision is for the current revision.
    pub fn is_in_force(&self, revision: Option<&Value>) -> bool {
        self.revision.as_ref().is_none_or(|in_force| match revision {
            Some(Value::String(text)) => text == in_force,
            Some(Value::Number(number)) => number.to_string() == *in_force,
            _ => false,
        })
    }

    /// The configured cookie name, or else the tool's default.
    pub fn cookie_or(&self, usual: &str) -> String {
        self.cookie.as_deref().unwrap_or(usual).to_owned()
    }
}

impl Reading {
    /// Combines the copies of one cookie. A malformed copy is ignored if another one is readable.
    pub fn of_copies<'a>(
        copies: impl Iterator<Item = &'a [u8]>,
        read: impl Fn(&'a [u8]) -> Reading,
    ) -> Reading {
        copies.map(read).fold(Reading::NoDecision, Reading::and)
    }

    /// Combines two readings: all decisions of both. Without any decision, `Malformed` takes
    /// precedence over `NoDecision`.
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

    /// A reading with one decision, from the votes of a tool's ids.
    pub fn decision(votes: Votes, map: &IdMap, decided_at: Option<i64>) -> Reading {
        let (granted, denied) = votes.result(map.coverage());
        Reading::Decisions(vec![SourceDecision {
            granted,
            denied,
            decided_at,
            ends_at: None,
            notice_date: None,
            refused_vendors: VendorSet::EMPTY,
            tool: None,
            own: false,
            void: None,
        }])
    }

    /// The reading with void grants, unless it is for the current revision.
    pub fn in_revision(mut self, in_force: bool) -> Reading {
        if let Reading::Decisions(decisions) = &mut self
            && !in_force
        {
            decisions.iter_mut().for_each(|decision| decision.void = Some(Void::OtherRevision));
        }
        self
    }

    /// The reading with grants that end at this time, in Unix seconds.
    pub fn ending_at(mut self, ends_at: Option<i64>) -> Reading {
        if let Reading::Decisions(decisions) = &mut self {
            decisions.iter_mut().for_each(|decision| decision.ends_at = ends_at);
        }
        self
    }

    /// The refusals of the reading. `NoDecision` if it only grants.
    pub fn refusals_only(self) -> Reading {
        let Reading::Decisions(mut decisions) = self else { return self };
        decisions.retain(|decision| decision.denied != CategorySet::EMPTY);
        decisions.iter_mut().for_each(|decision| decision.granted = CategorySet::NECESSARY);
        if decisions.is_empty() { Reading::NoDecision } else { Reading::Decisions(decisions) }
    }

    /// The reading with this tool as its author.
    pub fn by(mut self, tool: &'static str) -> Reading {
        if let Reading::Decisions(decisions) = &mut self {
            decisions.iter_mut().for_each(|decision| decision.tool = Some(tool));
        }
        self
    }

    /// The reading with these vendors refused in each decision.
    pub fn refusing(mut self, vendors: VendorSet) -> Reading {
        if let Reading::Decisions(decisions) = &mut self {
            decisions.iter_mut().for_each(|decision| decision.refused_vendors = vendors);
        }
        self
    }
}

/// An adapter for one consent tool.
pub trait ConsentSource: std::fmt::Debug + Send + Sync {
    /// The adapter's name in config, logs and metrics.
    fn name(&self) -> &'static str;

    /// Names, or patterns with `*`, of the cookies with the tool's decision. These cookies are
    /// strictly necessary.
    fn cookie_names(&self) -> Vec<String>;

    /// Reads the tool's decision from a request's cookies.
    fn read(&self, cookies: &Cookies<'_>, categories: &Categories) -> Reading;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_different_revision_invalidates_every_copy_of_a_decision() {
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
