//! Explains the decisions about a request and its response: `consentry explain`.
//!
//! Uses the same policy and rules as `request`, `response` and `url_identifiers`. Records nothing.

use super::beacon_reply::ExpectedType;
use super::cookie_deletion::is_deletable;
use super::filtered_head::FilteredHead;
use super::request::{BeaconOutcome, matching_beacon};
use super::site_filter::Filter;
use super::url_identifiers::target_query;
use crate::catalogue::{CookieContext, Entry, ParameterRule, UrlQuery};
use crate::consent::{CategorySet, Consent, Signals};
use crate::cookie::{Cookies, Effect, ResponseTime, SetCookie};
use crate::http::{Fields, is_navigation, query_parameters};
use crate::policy::{Decision, Unclassified};

/// The decisions about a request and its response.
#[derive(Debug)]
pub(crate) struct Explanation<'a> {
    /// The visitor's consent.
    pub(crate) consent: Consent,
    /// Why the consent is what it is, as a sentence.
    pub(crate) reason: String,
    /// The beacon rule that matches the request.
    pub(crate) beacon: Option<ExplainedItem<'a>>,
    /// The query parameters with a rule.
    pub(crate) parameters: Vec<ExplainedItem<'a>>,
    /// The request cookies.
    pub(crate) cookies: Vec<ExplainedItem<'a>>,
    /// The `Set-Cookie` lines.
    pub(crate) set_cookies: Vec<ExplainedItem<'a>>,
}

/// The decision about a cookie, a beacon or a parameter.
#[derive(Debug)]
pub(crate) struct ExplainedItem<'a> {
    /// The name, or the path of a beacon.
    pub(crate) name: String,
    pub(crate) verdict: Verdict,
    /// The pattern of the rule, and its description.
    pub(crate) rule: Option<(&'a str, &'a Entry)>,
    /// The reason, if there is no rule or the rule does not suffice.
    pub(crate) evidence: Option<&'static str>,
}

/// A decision in enforce mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Forwarded unchanged.
    Pass,
    /// Removed.
    Strip,
    /// A `Set-Cookie` line that is replaced by a deletion.
    Delete,
    /// A beacon that does not reach the origin.
    Block,
    /// A request for an image, whose response decides.
    ByResponse,
}

impl Verdict {
    /// The word in the output.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Strip => "strip",
            Self::Delete => "delete",
            Self::Block => "block",
            Self::ByResponse => "by response",
        }
    }
}

impl Filter {
    /// Explains the decisions about a request and the `Set-Cookie` lines of its response, at `now` in Unix seconds. With
    /// `trusted`, the region field of the request is honoured.
    pub(crate) fn explain<F: Fields>(
        &self,
        request: &FilteredHead<'_, F>,
        set_cookies: &[&[u8]],
        (trusted, now): (bool, i64),
    ) -> Explanation<'_> {
        let settings = &self.settings;
        let FilteredHead { uri, host, fields, .. } = *request;
        let cookies = Cookies::of(fields);
        let signals = Signals::of(fields);
        let region = settings.reader.region_of(fields, trusted);
        let consent = settings.reader.read(&cookies, signals, region, now);
        let navigation = is_navigation(fields);
        let expected = ExpectedType::by(fields, uri.path());
        let beacon = matching_beacon(settings, request, &consent, (navigation, expected));
        let beacon = beacon.map(|(rule, outcome)| ExplainedItem {
            name: uri.path().to_owned(),
            verdict: match outcome {
                BeaconOutcome::Permitted => Verdict::Pass,
                BeaconOutcome::Denied => Verdict::Block,
                BeaconOutcome::ByResponse => Verdict::ByResponse,
            },
            rule: Some((rule.path.as_str(), &rule.entry)),
            evidence: None,
        });
        let query = target_query(request, settings.url_identifiers).unwrap_or_default();
        let url = UrlQuery::new(host, uri.path(), query, navigation);
        let parameters = query_parameters(query).filter_map(|parameter| {
            let rule = settings.policy.catalogue.url_parameter(parameter, &url)?;
            let permitted = settings.policy.permits(&rule.entry, &consent);
            Some(self.explained_parameter(rule, permitted))
        });
        let context = CookieContext::request(&cookies);
        let sent = cookies.pairs().map(|pair| {
            let decision = settings.policy.sent_cookie((pair.name, pair.value), &context, &consent);
            self.explained_cookie(pair.name, decision, &consent)
        });
        let lines = set_cookies.to_vec();
        let context = CookieContext::response(&lines, now);
        let set = set_cookies.iter().map(|line| {
            let cookie = SetCookie::parse(line);
            let time = ResponseTime::new(now);
            let decision = settings.policy.set_cookie(&cookie, &context, || time, &consent);
            let mut explained = self.explained_cookie(cookie.name, decision, &consent);
            if self.is_own_cookie(&cookie) {
                explained.verdict = Verdict::Strip;
                explained.evidence = Some("only consentry may set this cookie");
            } else if !decision.permitted
                && cookie.scope().effect(time) != Effect::Stores
                && is_deletable(None, cookie.name)
            {
                explained.verdict = Verdict::Delete;
            }
            explained
        });
        let (parameters, sent, set) = (parameters.collect(), sent.collect(), set.collect());
        Explanation {
            consent,
            reason: settings.reader.explain(&consent, signals),
            beacon,
            parameters,
            cookies: sent,
            set_cookies: set,
        }
    }

    fn explained_parameter<'a>(
        &self,
        rule: &'a ParameterRule,
        permitted: bool,
    ) -> ExplainedItem<'a> {
        ExplainedItem {
            name: rule.name().to_owned(),
            verdict: if permitted { Verdict::Pass } else { Verdict::Strip },
            rule: Some((rule.name(), &rule.entry)),
            evidence: None,
        }
    }

    fn explained_cookie<'a>(
        &self,
        name: &[u8],
        decision: Decision<'a>,
        consent: &Consent,
    ) -> ExplainedItem<'a> {
        let policy = &self.settings.policy;
        let evidence = match (decision.rule, decision.presumed) {
            (Some(rule), _) => {
                let granted = consent.granted.contains(rule.entry.category);
                (granted && !decision.permitted).then_some("the TC string refuses the vendor")
            }
            (None, Some(presumption)) => Some(presumption.reason()),
            (None, None) if !decision.permitted => Some("passes only if every category is granted"),
            (None, None) if policy.unclassified == Unclassified::Allow => {
                Some("unclassified = \"allow\"")
            }
            (None, None) if policy.all.difference(consent.granted) == CategorySet::EMPTY => {
                Some("every category is granted")
            }
            (None, None) => Some("a record of a consent decision"),
        };
        ExplainedItem {
            name: name.escape_ascii().to_string(),
            verdict: if decision.permitted { Verdict::Pass } else { Verdict::Strip },
            rule: decision.rule.map(|rule| (rule.pattern.as_str(), &rule.entry)),
            evidence,
        }
    }
}
