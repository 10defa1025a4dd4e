//! Matcher for exact names and wildcard patterns. The cost of a lookup does not depend on the
//! number of patterns.
//!
//! Exact names are in a hash table. A wildcard pattern is stored under its literal prefix in a
//! prefix tree, and there under its reversed literal suffix in a second tree. A lookup walks the
//! name once along the first tree, and at each candidate backwards along the second. Its cost is
//! bounded by the lengths of name and patterns.
//!
//! Many patterns with the same prefix and suffix, such as `*a*` and `*b*`, are found by their
//! rarest literal, with an Aho-Corasick automaton.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use aho_corasick::AhoCorasick;
use foldhash::fast::RandomState;

use super::glob::Glob;
use super::pattern::{Part, Pattern};
use super::prefix_tree::PrefixTree;
use super::rule::RulePriority;

/// The precedence of a matching rule: the greatest value wins, for cookies and beacons alike.
///
/// The fields are compared in declaration order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Precedence {
    /// The origin of the rule.
    tier: RulePriority,
    /// An exact name, without wildcards.
    exact: bool,
    /// Not a wildcard pattern that yields to other matches.
    unconditional: bool,
    /// Number of literal bytes in the pattern.
    literal_bytes: usize,
    /// Number of placeholders in the pattern.
    placeholders: usize,
    /// Number of conditions besides the pattern.
    conditions: usize,
    /// The index: of two equal rules, the later one wins.
    index: usize,
}

/// Parameters of an inserted pattern.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weight {
    /// The origin of the rule.
    pub(crate) tier: RulePriority,
    /// The rule matches only if no unconditional wildcard pattern of its tier matches.
    pub(crate) yields: bool,
    /// Number of conditions besides the pattern. More conditions take precedence.
    pub(crate) conditions: usize,
}

impl Weight {
    /// A rule without further conditions.
    pub(crate) fn of(tier: RulePriority) -> Self {
        Self { tier, yields: false, conditions: 0 }
    }
}

#[derive(Debug)]
pub(crate) struct Matcher<T> {
    /// The first item of each exact name, which links to the others.
    exact: HashMap<Box<[u8]>, usize, RandomState>,
    prefixes: PrefixTree,
    /// The wildcard patterns below a node of `prefixes`.
    suffixes: Vec<PrefixTree>,
    /// The other wildcard patterns.
    affix_group: Option<AffixGroup>,
    items: Vec<MatcherItem<T>>,
    best_wildcard_tier: Option<RulePriority>,
}

/// Maximum number of wildcard patterns with the same prefix and suffix in the trees.
const MAX_ALIKE: usize = 8;

/// Wildcard patterns with a common prefix and suffix.
#[derive(Debug)]
struct AffixGroup {
    literals: AhoCorasick,
    /// The patterns by the index of their literal.
    items: Vec<Vec<usize>>,
}

#[derive(Debug)]
struct MatcherItem<T> {
    precedence: Precedence,
    /// `None` for an exact name.
    glob: Option<Glob>,
    /// The next item with the same exact name, of lower precedence.
    next: Option<usize>,
    value: T,
}

impl<T> Default for Matcher<T> {
    fn default() -> Self {
        Self {
            exact: HashMap::default(),
            prefixes: PrefixTree::default(),
            suffixes: Vec::new(),
            affix_group: None,
            items: Vec::new(),
            best_wildcard_tier: None,
        }
    }
}

impl<T> Matcher<T> {
    /// Compiles patterns.
    pub(crate) fn compile(patterns: impl IntoIterator<Item = (Pattern, Weight, T)>) -> Self {
        let mut matcher = Self::default();
        for (pattern, weight, value) in patterns {
            matcher.insert(&pattern, weight, value);
        }
        matcher.group_affixes();
        matcher
    }

    /// Moves wildcard patterns with a common prefix and suffix into the automaton.
    fn group_affixes(&mut self) {
        let Self { suffixes, items, .. } = self;
        let literals_of = |index: usize| {
            let glob = items.get(index).and_then(|item| item.glob.as_ref());
            glob.into_iter().flat_map(Glob::literals)
        };
        let crowds =
            || suffixes.iter().flat_map(PrefixTree::numbers).filter(|all| all.len() > MAX_ALIKE);
        let mut frequency = HashMap::<&[u8], usize>::new();
        for literal in crowds().flatten().flat_map(|index| literals_of(*index)) {
            *frequency.entry(literal).or_default() += 1;
        }
        let mut by_literal = BTreeMap::<&[u8], Vec<usize>>::new();
        for index in crowds().flatten() {
            let rarest =
                |literal: &&[u8]| (frequency.get(literal).copied(), Reverse(literal.len()));
            if let Some(literal) = literals_of(*index).min_by_key(rarest) {
                by_literal.entry(literal).or_default().push(*index);
            }
        }
        if by_literal.is_empty() {
            return;
        }
        let (literals, found): (Vec<&[u8]>, Vec<Vec<usize>>) = by_literal.into_iter().unzip();
        // Too many literals for an automaton: the patterns stay in the trees.
        let Ok(literals) = AhoCorasick::new(literals) else { return };
        let has_literal = |index: &usize| literals_of(*index).next().is_some();
        let crowded = suffixes.iter_mut().flat_map(PrefixTree::numbers_mut);
        for numbers in crowded.filter(|all| all.len() > MAX_ALIKE) {
            numbers.retain(|index| !has_literal(index));
        }
        self.affix_group = Some(AffixGroup { literals, items: found });
    }

    /// Adds a pattern.
    fn insert(&mut self, pattern: &Pattern, weight: Weight, value: T) {
        let index = self.items.len();
        let precedence = precedence(pattern, weight, index);
        let glob = Glob::new(pattern);
        let mut next = None;
        if let Some(glob) = &glob {
            let below_next = self.suffixes.len();
            let Some(nodes) = self.prefixes.insert(glob.prefix().iter().copied()) else { return };
            let below = match nodes.first() {
                Some(below) => *below,
                None => {
                    nodes.push(below_next);
                    self.suffixes.push(PrefixTree::default());
                    below_next
                }
            };
            let tree = self.suffixes.get_mut(below);
            if let Some(items) =
                tree.and_then(|tree| tree.insert(glob.suffix().iter().rev().copied()))
            {
                items.push(index);
            }
            self.best_wildcard_tier = self.best_wildcard_tier.max(Some(weight.tier));
        } else {
            next = self.link(pattern.as_str().as_bytes(), index, precedence);
        }
        self.items.push(MatcherItem { precedence, glob, next, value });
    }

    /// Links an item under its exact name, by precedence. Returns the item that follows.
    fn link(&mut self, name: &[u8], index: usize, precedence: Precedence) -> Option<usize> {
        let Some(first) = self.exact.get_mut(name) else {
            self.exact.insert(name.into(), index);
            return None;
        };
        let wins = |items: &[MatcherItem<T>], at: usize| {
            items.get(at).is_some_and(|item| item.precedence > precedence)
        };
        if !wins(&self.items, *first) {
            return Some(std::mem::replace(first, index));
        }
        let mut before = *first;
        while let Some(after) = self.items.get(before).and_then(|item| item.next) {
            if !wins(&self.items, after) {
                break;
            }
            before = after;
        }
        self.items.get_mut(before).and_then(|item| item.next.replace(index))
    }

    /// The value at this insertion index, from 0.
    pub(super) fn get(&self, index: usize) -> Option<&T> {
        self.items.get(index).map(|item| &item.value)
    }

    /// All values, in insertion order.
    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.items.iter().map(|item| &item.value)
    }

    /// All values, by descending precedence.
    pub(super) fn by_precedence(&self) -> impl Iterator<Item = &T> {
        let mut items: Vec<&MatcherItem<T>> = self.items.iter().collect();
        items.sort_by_key(|item| Reverse(item.precedence));
        items.into_iter().map(|item| &item.value)
    }

    /// The match of the highest precedence that `accept` accepts. `accept` receives the value and
    /// the part of the name that the wildcards match.
    pub(crate) fn best(&self, name: &[u8], accept: impl Fn(&T, &[u8]) -> bool) -> Option<&T> {
        let mut best = self.exact_items(name).find(|item| accept(&item.value, &[]));
        if best.is_some_and(|item| Some(item.precedence.tier) >= self.best_wildcard_tier) {
            return best.map(|item| &item.value);
        }
        self.each_wildcard(name, |item| {
            if best.is_none_or(|best| item.precedence > best.precedence)
                && let Some(wild) = item.glob.as_ref().and_then(|glob| glob.wild(name))
                && accept(&item.value, wild)
            {
                best = Some(item);
            }
        });
        best.map(|item| &item.value)
    }

    /// Calls `found` with every candidate whose pattern matches, in any order, possibly repeatedly.
    pub(super) fn each<'a>(
        &'a self,
        name: &[u8],
        is_candidate: impl Fn(&T) -> bool,
        mut found: impl FnMut(&'a T, Precedence),
    ) {
        let exact = self.exact_items(name).filter(|item| is_candidate(&item.value));
        exact.for_each(|item| found(&item.value, item.precedence));
        self.each_wildcard(name, |item| {
            if is_candidate(&item.value)
                && item.glob.as_ref().is_some_and(|glob| glob.wild(name).is_some())
            {
                found(&item.value, item.precedence);
            }
        });
    }

    /// The items of an exact name, by descending precedence.
    fn exact_items(&self, name: &[u8]) -> impl Iterator<Item = &MatcherItem<T>> {
        let first = self.exact.get(name).and_then(|index| self.items.get(*index));
        std::iter::successors(first, |item| item.next.and_then(|next| self.items.get(next)))
    }

    /// Calls `found` with candidate wildcard patterns: those with a matching literal prefix and
    /// suffix, or with a rare literal that the name contains. Includes all matching patterns,
    /// possibly repeatedly.
    fn each_wildcard<'a>(&'a self, name: &[u8], mut found: impl FnMut(&'a MatcherItem<T>)) {
        self.prefixes.walk(name.iter().copied(), |below| {
            let Some(tree) = self.suffixes.get(below) else { return };
            tree.walk(name.iter().rev().copied(), |index| {
                if let Some(item) = self.items.get(index) {
                    found(item);
                }
            });
        });
        let Some(AffixGroup { literals, items }) = &self.affix_group else { return };
        for literal in literals.find_overlapping_iter(name) {
            let indices = items.get(literal.pattern().as_usize()).into_iter().flatten();
            indices.filter_map(|index| self.items.get(*index)).for_each(&mut found);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }
}

fn precedence(pattern: &Pattern, weight: Weight, index: usize) -> Precedence {
    let (mut literal_bytes, mut placeholders) = (0, 0);
    for part in pattern.parts() {
        match part {
            Part::Literal(text) => literal_bytes += text.len(),
            Part::Run(_) => placeholders += 1,
            Part::Any => {}
        }
    }
    Precedence {
        tier: weight.tier,
        exact: pattern.is_exact(),
        unconditional: !weight.yields,
        literal_bytes,
        placeholders,
        conditions: weight.conditions,
        index,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matcher(patterns: &[&str]) -> Matcher<String> {
        Matcher::compile(patterns.iter().map(|text| {
            let pattern = Pattern::new(text).expect("a valid pattern");
            (pattern, Weight::of(RulePriority::Catalogue(0)), (*text).to_owned())
        }))
    }

    #[test]
    fn a_look_up_tries_few_of_ten_thousand_wildcards_of_any_shape() {
        for (shape, name) in [
            ("*midN*", "a_mid4711_b"),
            ("a*midN*", "a_mid4711_b"),
            ("*midN*_b", "a_mid4711_b"),
            ("same*N*same", "same4711same"),
            ("{hex:4}_N_*", "beef_4711_x"),
            ("*N*x*y*", "4711xy"),
            ("N*", "4711x"),
            ("*N", "x4711"),
        ] {
            let patterns: Vec<String> =
                (0..10_000).map(|number| shape.replace('N', &number.to_string())).collect();
            let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
            let matcher = matcher(&patterns);
            let mut tried = 0;
            matcher.each_wildcard(name.as_bytes(), |_| tried += 1);
            assert!(tried <= 2 * MAX_ALIKE, "{shape}: {tried}");
            let expected = shape.replace('N', "4711");
            let found = matcher.best(name.as_bytes(), |_, _| true);
            assert_eq!(found.map(String::as_str), Some(&*expected), "{shape}");
        }
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
    fn a_rejected_match_falls_back_to_the_next_best() {
        let matcher = matcher(&["/collect", "/col*"]);
        let found = matcher.best(b"/collect", |value, _| value != "/collect");
        assert_eq!(found.map(String::as_str), Some("/col*"));
    }

    #[test]
    fn placeholders_win_over_stars_and_conditional_patterns_lose_to_both() {
        let rules = ["sid_*", "sid_{digits}", "*_x", "sid_x*_x"].map(|text| {
            let pattern = Pattern::new(text).expect("a valid pattern");
            let yields = text == "sid_x*_x";
            let value = if yields { "conditional" } else { text };
            (pattern, Weight { yields, ..Weight::of(RulePriority::Catalogue(0)) }, value.to_owned())
        });
        let matcher = Matcher::compile(rules);
        let found = |name: &[u8]| matcher.best(name, |_, _| true).map(String::as_str);
        assert_eq!(found(b"sid_1"), Some("sid_{digits}"));
        assert_eq!(found(b"sid_a"), Some("sid_*"));
        assert_eq!(found(b"sid_xx_x"), Some("sid_*"));
        let without_others = matcher.best(b"sid_xx_x", |value, _| !value.contains('*'));
        assert_eq!(without_others.map(String::as_str), Some("conditional"));
    }

    /// A naive wildcard matcher, to compare the trees with.
    fn plain_match(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => {
                plain_match(rest, name)
                    || name.split_first().is_some_and(|(_, shorter)| plain_match(pattern, shorter))
            }
            (Some((expected, rest)), Some((letter, name))) => {
                expected == letter && plain_match(rest, name)
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn the_best_accepted_match_is_found_for_every_filter(
            patterns in proptest::collection::vec(("[ab*]{1,4}", 0..3_u16, any::<bool>(), any::<bool>()), 1..60),
            name in "[ab]{0,6}",
        ) {
            let (mut rules, mut best) = (Vec::new(), None);
            for (text, tier, yields, accept) in &patterns {
                let Ok(pattern) = Pattern::new(text) else { continue };
                let weight = Weight { yields: *yields, ..Weight::of(RulePriority::Catalogue(*tier)) };
                let precedence = precedence(&pattern, weight, rules.len());
                rules.push((pattern, weight, (precedence, *accept)));
                if *accept && plain_match(text.as_bytes(), name.as_bytes()) {
                    best = best.max(Some(precedence));
                }
            }
            let matcher = Matcher::compile(rules);
            let found = matcher.best(name.as_bytes(), |(_, accept), _| *accept);
            prop_assert_eq!(found.map(|(precedence, _)| *precedence), best);
            let mut all = None;
            matcher.each(name.as_bytes(), |_| true, |(precedence, accept), given| {
                assert_eq!(*precedence, given);
                if *accept {
                    all = all.max(Some(given));
                }
            });
            prop_assert_eq!(all, best);
            let order: Vec<_> = matcher.by_precedence().map(|(precedence, _)| *precedence).collect();
            prop_assert!(order.is_sorted_by(|a, b| a > b));
        }
    }

    proptest! {
        #[test]
        fn prefix_trees_agree_with_a_linear_search(
            patterns in proptest::collection::vec("[ab*]{1,6}|[*][abc]{1,4}[*]|a[*][bc]{1,3}[*]b", 1..60),
            name in "[abc]{0,8}",
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
