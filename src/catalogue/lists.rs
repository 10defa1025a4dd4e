//! Beacon detection with filter lists in EasyList's syntax, such as EasyPrivacy. Requests that a
//! content blocker would block count as beacons, by path and resource type. Uses Brave's `adblock`,
//! and only if a list is configured.

use std::sync::Arc;

use thiserror::Error;

use super::beacon::{BeaconProbe, BeaconRule};
use super::beacon_path::normalised;
use super::pattern::Pattern;
#[cfg(feature = "filter-lists")]
use super::removeparam;
use super::removeparam::ListedParameters;
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
    parameters: ListedParameters,
}

/// The number of lines in a filter list, without comments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ListLines {
    /// Lines that match requests.
    pub requests: usize,
    /// Lines that remove query parameters, and their exceptions.
    pub parameters: usize,
    /// Lines without effect, such as rules for the look of pages.
    pub without_effect: usize,
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
            body: None,
            email_open: false,
            navigation: false,
            tier: RulePriority::Config,
            number: 0,
            entry: Entry { vendor: Some(Arc::from("a filter list")), ..Entry::new(category) },
        };
        #[cfg(feature = "filter-lists")]
        {
            let parameters = ListedParameters::compile(texts.iter().map(String::as_str), category)
                .ok_or(ListError::NoRules)?;
            let mut set = adblock::FilterSet::new(false);
            for text in texts {
                let lines = text.lines().filter(|line| removeparam::parse(line).is_none());
                set.add_filter_list(lines.collect::<Vec<_>>().join("\n"), options());
            }
            let engine = Arc::new(adblock::Engine::new_with_filter_set(set));
            Ok(Self { engine, rule, parameters })
        }
        #[cfg(not(feature = "filter-lists"))]
        Err(ListError::Unsupported)
    }

    /// Counts the lines of a text by their effect.
    ///
    /// # Errors
    /// If no line has an effect, or if the build has no filter lists.
    #[cfg_attr(not(feature = "filter-lists"), expect(unused_variables, reason = "nothing is read"))]
    pub fn lines_in(text: &str) -> Result<ListLines, ListError> {
        #[cfg(feature = "filter-lists")]
        {
            // Nearly any line is valid in this syntax, so an HTML error page would be accepted as a
            // list.
            if text.trim_start().starts_with('<') {
                return Err(ListError::NoRules);
            }
            let mut lines = ListLines::default();
            for line in text.lines().map(str::trim).filter(|line| !is_comment(line)) {
                let count = match removeparam::parse(line) {
                    Some(Some(_)) => &mut lines.parameters,
                    None if matches_requests(line) => &mut lines.requests,
                    Some(None) | None => &mut lines.without_effect,
                };
                *count += 1;
            }
            match lines.requests + lines.parameters {
                0 => Err(ListError::NoRules),
                _ => Ok(lines),
            }
        }
        #[cfg(not(feature = "filter-lists"))]
        Err(ListError::Unsupported)
    }

    /// Query parameters that the lists remove.
    pub(super) fn parameters(&self) -> &ListedParameters {
        &self.parameters
    }

    /// Sets the number of the parameter rule in the catalogue.
    pub(super) fn number_parameters(&mut self, number: usize) {
        self.parameters.number(number);
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

/// Whether a line is empty, a comment or the title of a list.
#[cfg(feature = "filter-lists")]
fn is_comment(line: &str) -> bool {
    line.is_empty() || line.starts_with(['!', '[']) || line == "#" || line.starts_with("# ")
}

/// Whether a line blocks requests, or is an exception. Other lines change how a page looks, or
/// fields of its response.
#[cfg(feature = "filter-lists")]
fn matches_requests(line: &str) -> bool {
    use adblock::lists::{ParsedLine, parse_filter};
    match parse_filter(line, false, options()) {
        Ok(ParsedLine::Network(rule)) => !rule.is_csp() && !rule.is_generic_hide(),
        _ => false,
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
        let lines = ListLines { requests: 4, parameters: 0, without_effect: 1 };
        assert_eq!(FilterLists::lines_in(text), Ok(lines));
        assert_eq!(FilterLists::lines_in("<!doctype html>"), Err(ListError::NoRules));
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
                body: crate::catalogue::BodyStart::Unavailable,
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

    #[test]
    fn lines_are_counted_by_their_effect() {
        let text = "[Adblock Plus 2.0]\n! comment\n\n# comment\n/piwik.php?\n@@/piwik.php?ok=\n\
                    $removeparam=fbclid\n@@||shop.example^$removeparam=fbclid\n\
                    $removeparam=/^utm_/\n##.ad\nshop.example#@#.ad\nshop.example##+js(nowebrtc)\n\
                    ||shop.example^$csp=script-src 'none'\n@@||shop.example^$generichide\n";
        let lines = ListLines { requests: 2, parameters: 2, without_effect: 6 };
        assert_eq!(FilterLists::lines_in(text), Ok(lines));
        assert_eq!(FilterLists::lines_in("##.ad\n"), Err(ListError::NoRules));
        let only_parameters = FilterLists::lines_in("$removeparam=fbclid\n");
        assert_eq!(only_parameters.map(|lines| lines.parameters), Ok(1));
    }
}
