//! Exact names and wildcards, compiled so that a lookup does not depend on how many there are.
//!
//! Exact names are in a hash table. A wildcard is filed under its literal beginning in a prefix tree, and
//! there under its literal end in a second tree, read backwards. A lookup walks the name once along the first
//! tree and, where a wildcard could begin, back from its end along the second: its cost is bounded by the
//! lengths of name and patterns.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::glob::Glob;
use super::pattern::{Part, Pattern};
use super::rule::Tier;
use super::tree::Tree;

/// How good a match is: the tier first, then exact over wildcard, then rules without conditions over others,
/// then more literal bytes, then more placeholders.
type Rank = (Tier, bool, bool, usize, usize);

#[derive(Debug)]
pub(crate) struct Matcher<T> {
    exact: HashMap<Box<[u8]>, usize, RandomState>,
    prefixes: Tree,
    /// The wildcards below a node of `prefixes`.
    suffixes: Vec<Tree>,
    items: Vec<Item<T>>,
    best_wildcard_tier: Option<Tier>,
}

#[derive(Debug)]
struct Item<T> {
    rank: Rank,
    /// `None` for an exact name.
    glob: Option<Glob>,
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
    /// Adds a pattern. A `conditional` wildcard counts only where no other wildcard of its tier matches.
    pub(crate) fn insert(&mut self, pattern: &Pattern, tier: Tier, conditional: bool, value: T) {
        let rank = rank(pattern, tier, conditional);
        let item = self.items.len();
        let glob = Glob::new(pattern);
        if let Some(glob) = &glob {
            let next = self.suffixes.len();
            let Some(nodes) = self.prefixes.insert(glob.prefix().iter().copied()) else { return };
            let below = match nodes.first() {
                Some(below) => *below,
                None => {
                    nodes.push(next);
                    self.suffixes.push(Tree::default());
                    next
                }
            };
            let tree = self.suffixes.get_mut(below);
            if let Some(items) =
                tree.and_then(|tree| tree.insert(glob.suffix().iter().rev().copied()))
            {
                items.push(item);
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
        self.items.push(Item { rank, glob, value });
    }

    /// The value that was inserted at this index, from 0.
    pub(super) fn get(&self, index: usize) -> Option<&T> {
        self.items.get(index).map(|item| &item.value)
    }

    /// Every value, in the order inserted.
    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.items.iter().map(|item| &item.value)
    }

    /// The best match that `wanted` accepts. It gets the value, and the part of the name that the wildcards match.
    pub(crate) fn best(&self, name: &[u8], wanted: impl Fn(&T, &[u8]) -> bool) -> Option<&T> {
        let mut best: Option<&Item<T>> = self
            .exact
            .get(name)
            .and_then(|item| self.items.get(*item))
            .filter(|item| wanted(&item.value, &[]));
        if best.is_some_and(|item| Some(item.rank.0) >= self.best_wildcard_tier) {
            return best.map(|item| &item.value);
        }
        self.prefixes.walk(name.iter().copied(), |below| {
            let Some(tree) = self.suffixes.get(below) else { return };
            tree.walk(name.iter().rev().copied(), |index| {
                let Some(item) = self.items.get(index) else { return };
                if best.is_none_or(|best| item.rank >= best.rank)
                    && let Some(wild) = item.glob.as_ref().and_then(|glob| glob.wild(name))
                    && wanted(&item.value, wild)
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

fn rank(pattern: &Pattern, tier: Tier, conditional: bool) -> Rank {
    let (mut literal, mut runs) = (0, 0);
    for part in pattern.parts() {
        match part {
            Part::Literal(text) => literal += text.len(),
            Part::Run(_) => runs += 1,
            Part::Any => {}
        }
    }
    (tier, pattern.is_exact(), !conditional, literal, runs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matcher(patterns: &[&str]) -> Matcher<String> {
        let mut matcher = Matcher::default();
        for text in patterns {
            let pattern = Pattern::new(text).expect("a valid pattern");
            matcher.insert(&pattern, Tier::Catalogue(0), false, (*text).to_owned());
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
            let found = matcher.best(name.as_bytes(), |_, _| true).map(String::as_str);
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn a_match_that_is_not_wanted_leaves_the_next_best() {
        let matcher = matcher(&["/collect", "/col*"]);
        let found = matcher.best(b"/collect", |value, _| value != "/collect");
        assert_eq!(found.map(String::as_str), Some("/col*"));
    }

    #[test]
    fn a_placeholder_beats_a_star_and_a_condition_loses_to_both() {
        let mut matcher = matcher(&["sid_*", "sid_{digits}", "*_x"]);
        let pattern = Pattern::new("sid_x*_x").expect("a valid pattern");
        matcher.insert(&pattern, Tier::Catalogue(0), true, "conditional".to_owned());
        let found = |name: &[u8]| matcher.best(name, |_, _| true).map(String::as_str);
        assert_eq!(found(b"sid_1"), Some("sid_{digits}"));
        assert_eq!(found(b"sid_a"), Some("sid_*"));
        assert_eq!(found(b"sid_xx_x"), Some("sid_*"));
        let without_others = matcher.best(b"sid_xx_x", |value, _| !value.contains('*'));
        assert_eq!(without_others.map(String::as_str), Some("conditional"));
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
            let found = matcher(&patterns).best(name.as_bytes(), |_, _| true).cloned();
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
                prop_assert_eq!(super::super::glob::matches(&pattern, name.as_bytes()), plain, "{} {}", text, &name);
            }
        }
    }
}
