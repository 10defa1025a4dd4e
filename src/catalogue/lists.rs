//! Beacon detection with filter lists in EasyList's syntax, such as EasyPrivacy. Requests that a
//! content blocker would block count as beacons, by path and resource type. Uses Brave's `adblock`,
//! and only if a list is configured.

use std::sync::Arc;

use thiserror::Error;

use super::beacon::{BeaconProbe, BeaconRule};
use super::beacon_path::normalised;
use super::pattern::Pattern;
use super::rule::{Entry, RulePriority};
use crate::consent::Category;

/// Why a filter list is invalid.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum ListError {
    /// The text contains no network rule.
    #[error("has no rule for requests in EasyList's syntax")]
    NoRules,
    /// This build lacks the feature `filter-lists`.
    #[error("cannot be used: this build has no filter lists (cargo feature `filter-lists`)")]
    Unsupported,
}

/// Compiled filter lists. Clones share the compiled data.
#[derive(Clone)]
pub struct FilterLists {
    #[cfg(feature = "filter-lists")]
    engine: Arc<adblock::Engine>,
    /// The rule of every request that the lists match.
    rule: BeaconRule,
}

impl std::fmt::Debug for FilterLists {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FilterLists").field("rule", &self.rule).finish_non_exhaustive()
    }
}

impl FilterLists {
    /// Compiles filter lists. All matches have the same category.
    ///
    /// # Errors
    /// If the build has no filter lists, or if the rule name is invalid.
    #[cfg_attr(
        not(feature = "filter-lists"),
        expect(unused_variables, reason = "nothing is compiled")
    )]
    pub fn compile(texts: Vec<String>, category: Category) -> Result<Self, ListError> {
        let rule = BeaconRule {
            path: Pattern::new("(filter list)").map_err(|_| ListError::NoRules)?,
            method: None,
            query: Vec::new(),
            fetch_dest: None,
            fetch_mode: None,
            accept: None,
            header: None,
            content_type: None,
            email_open: false,
            navigation: false,
            tier: RulePriority::Config,
            number: 0,
            entry: Entry { vendor: Some(Arc::from("a filter list")), ..Entry::new(category) },
        };
        #[cfg(feature = "filter-lists")]
        {
            let mut set = adblock::FilterSet::new(false);
            for text in texts {
                set.add_filter_list(text, options());
            }
            Ok(Self { engine: Arc::new(adblock::Engine::new_with_filter_set(set)), rule })
        }
        #[cfg(not(feature = "filter-lists"))]
        Err(ListError::Unsupported)
    }

    /// The number of network rules in a text.
    ///
    /// # Errors
    /// If there are none, or if the build has no filter lists.
    #[cfg_attr(not(feature = "filter-lists"), expect(unused_variables, reason = "nothing is read"))]
    pub fn rules_in(text: &str) -> Result<usize, ListError> {
        #[cfg(feature = "filter-lists")]
        {
            use adblock::lists::{ParsedLine, parse_filter};
            let is_rule = |line: &&str| {
                matches!(parse_filter(line, false, options()), Ok(ParsedLine::Network(_)))
            };
            // Nearly any line is valid in this syntax, so an HTML error page would be accepted as a
            // list.
            if text.trim_start().starts_with('<') {
                return Err(ListError::NoRules);
            }
            match text.lines().filter(is_rule).count() {
                0 => Err(ListError::NoRules),
                count => Ok(count),
            }
        }
        #[cfg(not(feature = "filter-lists"))]
        Err(ListError::Unsupported)
    }

    /// Sets the number of the rule in the catalogue.
    pub(super) fn number(&mut self, number: usize) {
        self.rule.number = number;
    }

    /// The rule of every match.
    pub(super) fn rule(&self) -> &BeaconRule {
        &self.rule
    }

    /// The rule, if the lists block the request. Pages are never looked up, because the visitor
    /// requested them.
    pub(super) fn find(&self, probe: &BeaconProbe<'_>) -> Option<&BeaconRule> {
        let kind = match probe.fetch_dest {
            Some(b"document") => return None,
            Some(b"image") => "image",
            Some(b"script") => "script",
            Some(b"style") => "stylesheet",
            Some(b"font") => "font",
            Some(b"audio" | b"video" | b"track") => "media",
            Some(b"iframe" | b"frame") => "subdocument",
            Some(b"object" | b"embed") => "object",
            Some(b"empty") => "xmlhttprequest",
            _ => "other",
        };
        let decoded = normalised(probe.path);
        let blocked = self.blocks(probe, probe.path, kind)
            || (*decoded != *probe.path.as_bytes()
                && std::str::from_utf8(&decoded).is_ok_and(|path| self.blocks(probe, path, kind)));
        blocked.then_some(&self.rule)
    }

    /// The entry for a third-party URL, if the lists block it.
    pub(super) fn third_party(
        &self,
        host: &str,
        own_host: &str,
        url: &str,
        kind: &str,
    ) -> Option<&Entry> {
        #[cfg(feature = "filter-lists")]
        {
            let request =
                adblock::request::Request::preparsed(url, host, own_host, kind, true, "GET");
            let blocked = self.engine.check_network_request(&request).should_block();
            blocked.then_some(&self.rule.entry)
        }
        #[cfg(not(feature = "filter-lists"))]
        {
            let _ = (host, own_host, url, kind);
            None
        }
    }

    #[cfg(feature = "filter-lists")]
    fn blocks(&self, probe: &BeaconProbe<'_>, path: &str, kind: &str) -> bool {
        let host = probe.host.unwrap_or_default();
        let query = probe.query.map(|query| format!("?{query}")).unwrap_or_default();
        let url = format!("https://{host}{path}{query}");
        let method = probe.method.as_str();
        let request = adblock::request::Request::preparsed(&url, host, host, kind, false, method);
        self.engine.check_network_request(&request).should_block()
    }

    #[cfg(not(feature = "filter-lists"))]
    fn blocks(&self, _: &BeaconProbe<'_>, _: &str, _: &str) -> bool {
        false
    }
}

#[cfg(feature = "filter-lists")]
fn options() -> adblock::lists::ParseOptions {
    adblock::lists::ParseOptions {
        rule_types: adblock::lists::RuleTypes::NetworkOnly,
        ..adblock::lists::ParseOptions::default()
    }
}

#[cfg(test)]
#[cfg(feature = "filter-lists")]
mod tests {
    use super::*;
    use http::Method;

    #[test]
    fn filter_lists_match_by_path_type_and_party_and_honour_exceptions() {
        let text = "! Title: mine\n/piwik.php?\n/stats.js$script\n||tracker.example^$third-party\n@@/piwik.php?ok=\nshop.example##.ad\n";
        assert_eq!(FilterLists::rules_in(text), Ok(4));
        assert_eq!(FilterLists::rules_in("<!doctype html>"), Err(ListError::NoRules));
        let lists =
            FilterLists::compile(vec![text.to_owned()], Category::ANALYTICS).expect("built in");
        let known = |path: &str, dest: Option<&'static str>| {
            let (path, query) = path.split_once('?').map_or((path, None), |(p, q)| (p, Some(q)));
            let probe = BeaconProbe {
                method: &Method::GET,
                host: Some("tracker.example"),
                path,
                query,
                fetch_dest: dest.map(str::as_bytes),
                content_type: None,
                fields: crate::catalogue::FieldLookup::NONE,
                navigation: dest == Some("document"),
            };
            lists.find(&probe).is_some()
        };
        assert!(known("/piwik.php?idsite=1", Some("image")) && known("/piwik.php?idsite=1", None));
        assert!(!known("/piwik.php?ok=1", Some("image")), "an exception");
        assert!(!known("/piwik.php?idsite=1", Some("document")), "a page");
        assert!(known("/%70iwik%2Ephp?idsite=1", Some("image")), "an escaped path");
        assert!(known("/stats.js", Some("script")) && !known("/stats.js", Some("image")));
        assert!(!known("/cart", Some("empty")), "the site's own host is no third party");
    }
}
