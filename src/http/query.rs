//! The query of a request target as a list of parameters, and the removal of some of them.
//!
//! Only `&` separates parameters. The remaining bytes and their order are unchanged.

use std::collections::HashSet;

use foldhash::fast::RandomState;
use http::Uri;
use http::uri::PathAndQuery;

/// Splits a query into its parameters.
pub(crate) fn query_parameters(query: &str) -> impl Iterator<Item = &str> {
    // Each piece borrows from `query`. An empty query has one empty parameter.
    query.split('&')
}

/// The path and the query of a target or a URL, without its fragment. `None` without a query.
pub(crate) fn split_query(target: &str) -> Option<(&str, &str)> {
    let end = target.find('#').unwrap_or(target.len());
    target.get(..end)?.split_once('?')
}

/// The removal of query parameters from a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QueryEdit {
    /// The query that the positions refer to.
    query: Box<str>,
    /// The positions of the removed parameters, in ascending order.
    removed: Vec<usize>,
}

impl QueryEdit {
    /// Removes the parameters at these positions, in ascending order. `None` if there are none.
    pub(crate) fn new(query: &str, removed: Vec<usize>) -> Option<Self> {
        (!removed.is_empty()).then(|| Self { query: query.into(), removed })
    }

    /// Removes the parameters from another spelling of the target. Its query must have the same
    /// parameters at the same positions.
    pub(crate) fn apply(&self, target: &[u8]) -> Vec<u8> {
        let mut removed = self.removed.iter().copied().peekable();
        edited(target, |index, _| removed.next_if_eq(&index).is_none())
    }

    /// The URI without the parameters. If its query differs from the query of the edit, parameters
    /// with the same text are removed.
    pub(crate) fn uri(&self, uri: &Uri) -> Uri {
        let Some(target) = uri.path_and_query() else { return uri.clone() };
        let edited = if target.query() == Some(&self.query) {
            self.apply(target.as_str().as_bytes())
        } else {
            let mut positions = self.removed.iter().copied().peekable();
            let texts = query_parameters(&self.query).enumerate();
            let texts = texts.filter(|(index, _)| positions.next_if_eq(index).is_some());
            let texts: HashSet<&[u8], RandomState> =
                texts.map(|(_, text)| text.as_bytes()).collect();
            edited(target.as_str().as_bytes(), |_, text| !texts.contains(text))
        };
        let mut parts = uri.clone().into_parts();
        // Cannot fail: a part of a valid query is valid.
        if let Ok(path) = PathAndQuery::from_maybe_shared(bytes::Bytes::from(edited)) {
            parts.path_and_query = Some(path);
        }
        Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
    }
}

/// The target with the parameters that `keep` accepts, by position and text. A query without
/// parameters loses its `?`.
fn edited(target: &[u8], mut keep: impl FnMut(usize, &[u8]) -> bool) -> Vec<u8> {
    let end = memchr::memchr(b'#', target).unwrap_or(target.len());
    let (url, fragment) = target.split_at_checked(end).unwrap_or((target, &[]));
    let Some(at) = memchr::memchr(b'?', url) else { return target.to_vec() };
    let (path, query) = url.split_at_checked(at).unwrap_or((url, &[]));
    let query = query.strip_prefix(b"?").unwrap_or(query);
    let parameters = query.split(|byte| *byte == b'&').enumerate();
    let kept: Vec<&[u8]> = parameters
        .filter(|(index, text)| keep(*index, text))
        .map(|(_, parameter)| parameter)
        .collect();
    let kept = kept.join(&b'&');
    let mark: &[u8] = if kept.is_empty() { b"" } else { b"?" };
    [path, mark, &kept, fragment].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn edit(query: &str, removed: &[usize]) -> QueryEdit {
        QueryEdit::new(query, removed.to_vec()).expect("a removed parameter")
    }

    #[test]
    fn only_the_removed_parameters_disappear() {
        for (target, removed, expected) in [
            ("/a?x=1", &[0][..], "/a"),
            ("/a?x=1&y=2", &[0], "/a?y=2"),
            ("/a?x=1&y=2", &[1], "/a?x=1"),
            ("/a?x=1&y=2&z", &[1], "/a?x=1&z"),
            ("/a?x=1&&y=2", &[0], "/a?&y=2"),
            ("/a?x=1&", &[0], "/a"),
            ("/a?x=1&y=2#b?c&d", &[1], "/a?x=1#b?c&d"),
            ("/a?x=?&y=%26;z=+", &[0], "/a?y=%26;z=+"),
        ] {
            let (_, query) = split_query(target).expect("a query");
            let edited = edit(query, removed).apply(target.as_bytes());
            assert_eq!(String::from_utf8_lossy(&edited), expected, "{target}");
        }
        assert_eq!(QueryEdit::new("x=1", Vec::new()), None);
    }

    #[test]
    fn a_uri_keeps_its_authority_and_loses_equal_parameters_of_a_changed_query() {
        let edit = edit("x=1&y=2&x=1", &[0, 2]);
        for (uri, expected) in [
            ("http://shop.example/a?x=1&y=2&x=1", "http://shop.example/a?y=2"),
            ("/b?y=2&x=1&z=3", "/b?y=2&z=3"),
            ("/b?x=12", "/b?x=12"),
            ("/b", "/b"),
            ("*", "*"),
        ] {
            let uri: Uri = uri.parse().expect("a URI");
            assert_eq!(edit.uri(&uri).to_string(), expected);
        }
    }

    proptest! {
        #[test]
        fn kept_parameters_are_unchanged_and_in_order(
            parameters in proptest::collection::vec("[a-z=%;+?/]{0,6}", 1..8),
            removed in proptest::collection::vec(any::<bool>(), 8),
        ) {
            let query = parameters.join("&");
            let positions: Vec<usize> =
                (0..parameters.len()).filter(|index| removed[*index]).collect();
            let kept: Vec<&str> = parameters
                .iter()
                .zip(&removed)
                .filter(|(_, removed)| !**removed)
                .map(|(parameter, _)| parameter.as_str())
                .collect();
            let expected = kept.join("&");
            if let Some(edit) = QueryEdit::new(&query, positions) {
                let edited = edit.apply(format!("/p?{query}").as_bytes());
                let edited = String::from_utf8(edited).expect("text");
                let rest = edited.strip_prefix("/p").expect("the path");
                prop_assert_eq!(rest.strip_prefix('?').unwrap_or(rest), expected);
            }
        }
    }
}
