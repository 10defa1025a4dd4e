//! Exact names and wildcards, compiled so that a look-up does not depend on how many there are.
//!
//! Exact names sit in a hash table. A wildcard is filed under what precedes its first `*` in a
//! tree of bytes, and there under what follows its last `*` in a second tree, read backwards. A
//! look-up walks the name once along the first tree and, where a wildcard could begin, back from
//! its end along the second: its cost is bounded by the lengths of name and patterns.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use memchr::memmem::Finder;

use super::pattern::Pattern;
use super::rule::Tier;

/// How good a match is: the tier first, then exact over wildcard, then more literal octets.
type Rank = (Tier, bool, usize);

#[derive(Debug)]
pub(crate) struct Matcher<T> {
    exact: HashMap<Box<[u8]>, usize, RandomState>,
    prefixes: Tree,
    /// What hangs below a place in `prefixes`.
    suffixes: Vec<Tree>,
    items: Vec<Item<T>>,
    best_wildcard_tier: Option<Tier>,
}

#[derive(Debug)]
struct Item<T> {
    rank: Rank,
    /// The literal parts between the first and the last `*`, to be found in this order.
    middle: Vec<Finder<'static>>,
    /// Octets before the first and after the last `*`: they must not overlap in the name.
    ends: (usize, usize),
    value: T,
}

impl<T> Default for Matcher<T> {
    fn default() -> Self {
        Self {
            exact: HashMap::default(),
            prefixes: Tree::default(),
            suffixes: Vec::new(),
            items: Vec::new(),
            best_wildcard_tier: None,
        }
    }
}

impl<T> Matcher<T> {
    pub(crate) fn insert(&mut self, pattern: &Pattern, tier: Tier, value: T) {
        let rank = (tier, pattern.is_exact(), pattern.literal_octets());
        let item = self.items.len();
        let parts: Vec<&[u8]> = pattern.as_str().as_bytes().split(|byte| *byte == b'*').collect();
        let (mut middle, mut ends) = (Vec::new(), (0, 0));
        if let [prefix, between @ .., suffix] = parts.as_slice() {
            middle = between
                .iter()
                .filter(|part| !part.is_empty())
                .map(|part| Finder::new(part).into_owned())
                .collect();
            ends = (prefix.len(), suffix.len());
            let place = self.prefixes.insert(prefix.iter().copied());
            let below = match self.prefixes.nodes.get_mut(place) {
                Some(node) if node.items.is_empty() => {
                    node.items.push(self.suffixes.len());
                    self.suffixes.push(Tree::default());
                    self.suffixes.len() - 1
                }
                Some(node) => node.items.first().copied().unwrap_or_default(),
                None => return,
            };
            if let Some(tree) = self.suffixes.get_mut(below) {
                let place = tree.insert(suffix.iter().rev().copied());
                if let Some(node) = tree.nodes.get_mut(place) {
                    node.items.push(item);
                }
            }
            self.best_wildcard_tier = self.best_wildcard_tier.max(Some(tier));
        } else {
            let name = pattern.as_str().as_bytes();
            match self.exact.get(name).and_then(|known| self.items.get(*known)) {
                Some(known) if known.rank > rank => {}
                _ => {
                    self.exact.insert(name.into(), item);
                }
            }
        }
        self.items.push(Item { rank, middle, ends, value });
    }

    /// The value that was inserted at this place, from 0.
    pub(super) fn get(&self, place: usize) -> Option<&T> {
        self.items.get(place).map(|item| &item.value)
    }

    /// Every value, in the order inserted.
    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.items.iter().map(|item| &item.value)
    }

    /// The best match whose value is wanted.
    pub(crate) fn best(&self, name: &[u8], wanted: impl Fn(&T) -> bool) -> Option<&T> {
        let mut best: Option<&Item<T>> = self
            .exact
            .get(name)
            .and_then(|item| self.items.get(*item))
            .filter(|item| wanted(&item.value));
        if best.is_some_and(|item| Some(item.rank.0) >= self.best_wildcard_tier) {
            return best.map(|item| &item.value);
        }
        self.prefixes.walk(name.iter().copied(), |below| {
            let Some(tree) = self.suffixes.get(below) else { return };
            tree.walk(name.iter().rev().copied(), |index| {
                let Some(item) = self.items.get(index) else { return };
                if best.is_none_or(|best| item.rank >= best.rank)
                    && item.fits(name)
                    && wanted(&item.value)
                {
                    best = Some(item);
                }
            });
        });
        best.map(|item| &item.value)
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

impl<T> Item<T> {
    /// Whether prefix and suffix leave room for each other, and the middle parts are in between.
    fn fits(&self, name: &[u8]) -> bool {
        let (prefix, suffix) = self.ends;
        let Some(mut rest) = name.get(prefix..name.len().saturating_sub(suffix)) else {
            return false;
        };
        self.middle.iter().all(|part| match part.find(rest) {
            Some(at) => {
                rest = rest.get(at + part.needle().len()..).unwrap_or_default();
                true
            }
            None => false,
        })
    }
}

/// A tree of bytes whose nodes carry numbers.
#[derive(Debug)]
struct Tree {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    /// The next nodes by byte, sorted.
    next: Vec<(u8, u32)>,
    items: Vec<usize>,
}

impl Default for Tree {
    fn default() -> Self {
        Self { nodes: vec![Node::default()] }
    }
}

impl Tree {
    /// Adds a path and returns its last node.
    fn insert(&mut self, path: impl Iterator<Item = u8>) -> usize {
        let mut at = 0;
        for byte in path {
            let fresh = self.nodes.len();
            let Some(node) = self.nodes.get_mut(at) else { return at };
            at = match node.next.binary_search_by_key(&byte, |(byte, _)| *byte) {
                Ok(found) => node.next.get(found).map_or(at, |(_, to)| *to as usize),
                Err(place) => {
                    node.next.insert(place, (byte, u32::try_from(fresh).unwrap_or(u32::MAX)));
                    self.nodes.push(Node::default());
                    fresh
                }
            };
        }
        at
    }

    /// Walks along the bytes as far as the tree goes, and shows each item on the way.
    fn walk(&self, path: impl Iterator<Item = u8>, mut show: impl FnMut(usize)) {
        let mut node = self.nodes.first();
        let mut path = path;
        while let Some(here) = node {
            here.items.iter().for_each(|item| show(*item));
            let Some(byte) = path.next() else { return };
            node = here
                .next
                .binary_search_by_key(&byte, |(byte, _)| *byte)
                .ok()
                .and_then(|found| here.next.get(found))
                .and_then(|(_, to)| self.nodes.get(*to as usize));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::PatternError;
    use proptest::prelude::*;

    fn matcher(patterns: &[&str]) -> Matcher<String> {
        let mut matcher = Matcher::default();
        for text in patterns {
            let pattern = Pattern::new(text).expect("a valid pattern");
            matcher.insert(&pattern, Tier::Catalogue(0), (*text).to_owned());
        }
        matcher
    }

    #[test]
    fn the_most_specific_pattern_wins() {
        let matcher = matcher(&[
            "_ga",
            "_ga_*",
            "_g*",
            "_gat_*",
            "*_session",
            "a*b",
            "a*x*b",
            "AMCV_*%40AdobeOrg",
            "aa*aa",
            "session_*_id",
            "*mid*",
        ]);
        let cases = [
            ("_ga", Some("_ga")),
            ("_ga_ABC", Some("_ga_*")),
            ("_gat_UA-1", Some("_gat_*")),
            ("_gax", Some("_g*")),
            ("_g", Some("_g*")),
            ("laravel_session", Some("*_session")),
            ("_session", Some("*_session")),
            ("_sessions", None),
            ("ab", Some("a*b")),
            ("a-x-b", Some("a*x*b")),
            ("axb", Some("a*x*b")),
            ("a", None),
            ("aaa", None),
            ("aaaa", Some("aa*aa")),
            ("AMCV_123%40AdobeOrg", Some("AMCV_*%40AdobeOrg")),
            ("x_ga", None),
            ("_GA", None),
            ("session_1_id", Some("session_*_id")),
            ("xmidx", Some("*mid*")),
        ];
        for (name, expected) in cases {
            let found = matcher.best(name.as_bytes(), |_| true).map(String::as_str);
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn a_match_that_is_not_wanted_leaves_the_next_best() {
        let matcher = matcher(&["/collect", "/col*"]);
        let found = matcher.best(b"/collect", |value| value != "/collect");
        assert_eq!(found.map(String::as_str), Some("/col*"));
    }

    #[test]
    fn patterns_that_match_everything_or_nothing_are_refused() {
        assert_eq!(Pattern::new(""), Err(PatternError::Empty));
        assert_eq!(Pattern::new("**"), Err(PatternError::OnlyWildcards));
        assert_eq!(Pattern::new(&"x".repeat(257)), Err(PatternError::TooLong));
    }

    /// The plain reading of a wildcard, to hold the trees against.
    fn plain_match(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => {
                plain_match(rest, name)
                    || name.split_first().is_some_and(|(_, shorter)| plain_match(pattern, shorter))
            }
            (Some((want, rest)), Some((got, name))) => want == got && plain_match(rest, name),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn the_trees_find_what_a_plain_search_finds(
            patterns in proptest::collection::vec("[ab*]{1,6}", 1..12),
            name in "[ab]{0,8}",
        ) {
            let patterns: Vec<&str> =
                patterns.iter().map(String::as_str).filter(|text| Pattern::new(text).is_ok()).collect();
            let found = matcher(&patterns).best(name.as_bytes(), |_| true).cloned();
            let best = patterns
                .iter()
                .filter(|pattern| plain_match(pattern.as_bytes(), name.as_bytes()))
                .map(|pattern| (!pattern.contains('*'), pattern.bytes().filter(|b| *b != b'*').count()))
                .max();
            let rank = found.map(|text| {
                (!text.contains('*'), text.bytes().filter(|byte| *byte != b'*').count())
            });
            prop_assert_eq!(rank, best);
            for text in patterns {
                let pattern = Pattern::new(text).expect("a valid pattern");
                let plain = plain_match(text.as_bytes(), name.as_bytes());
                prop_assert_eq!(pattern.matches(name.as_bytes()), plain, "{} {}", text, &name);
            }
        }
    }
}
