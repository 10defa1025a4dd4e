//! Exact names and wildcards, compiled so that a lookup does not depend on how many there are.
//!
//! Exact names are in a hash table. A wildcard is filed under its literal beginning in a prefix tree, and
//! there under its literal end in a second tree, read backwards. A lookup walks the name once along the first
//! tree and, where a wildcard could begin, back from its end along the second: its cost is bounded by the
//! lengths of name and patterns. Many wildcards that begin and end alike, as `*a*` and `*b*` do, are found by a literal
//! that few of them have, with Aho and Corasick's automaton.

use std::cmp::Reverse;
use std::collections::HashMap;

use aho_corasick::AhoCorasick;
use foldhash::fast::RandomState;

use super::glob::Glob;
use super::pattern::{Part, Pattern};
use super::rule::Tier;
use super::tree::Tree;

/// The precedence of a rule among those that match: the greatest wins, for cookies and beacons alike.
///
/// The order of the fields is the order in which they are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Precedence {
    /// Where the rule comes from.
    tier: Tier,
    /// It names one name, without wildcards.
    exact: bool,
    /// It is no wildcard that counts only where no other one matches.
    unconditional: bool,
    /// The bytes of its pattern that no wildcard matches.
    literal_bytes: usize,
    /// How many placeholders its pattern has.
    placeholders: usize,
    /// How many conditions it has besides the pattern.
    conditions: usize,
    /// Its position: of two equal rules the later wins.
    index: usize,
}

/// What a pattern is inserted with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weight {
    /// Where the rule comes from.
    pub(crate) tier: Tier,
    /// The rule counts only where no unconditional wildcard of its tier matches.
    pub(crate) yields: bool,
    /// How many conditions it has besides the pattern: more win over fewer.
    pub(crate) conditions: usize,
}

impl Weight {
    /// A rule that the pattern alone decides.
    pub(crate) fn of(tier: Tier) -> Self {
        Self { tier, yields: false, conditions: 0 }
    }
}

#[derive(Debug)]
pub(crate) struct Matcher<T> {
    /// The first item of each exact name, which leads to the others.
    exact: HashMap<Box<[u8]>, usize, RandomState>,
    prefixes: Tree,
    /// The wildcards below a node of `prefixes`.
    suffixes: Vec<Tree>,
    /// The other wildcards.
    alike: Option<Alike>,
    items: Vec<Item<T>>,
    best_wildcard_tier: Option<Tier>,
}

/// More wildcards than these that begin and end alike are not filed by that.
const MAX_ALIKE: usize = 16;

/// Wildcards that begin and end like many others.
#[derive(Debug)]
struct Alike {
    literals: AhoCorasick,
    /// The wildcards by the number of their literal.
    items: Vec<Vec<usize>>,
}

#[derive(Debug)]
struct Item<T> {
    precedence: Precedence,
    /// `None` for an exact name.
    glob: Option<Glob>,
    /// The next item of the same exact name, of lower precedence.
    next: Option<usize>,
    value: T,
}

impl<T> Default for Matcher<T> {
    fn default() -> Self {
        Self {
            exact: HashMap::default(),
            prefixes: Tree::default(),
            suffixes: Vec::new(),
            alike: None,
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
        matcher.take_out_alike();
        matcher
    }

    /// Files wildcards that begin and end like many others by one of their literals.
    fn take_out_alike(&mut self) {
        let Self { suffixes, items, .. } = self;
        let literals_of = |index: usize| {
            let glob = items.get(index).and_then(|item| item.glob.as_ref());
            glob.into_iter().flat_map(Glob::literals)
        };
        let crowds = || suffixes.iter().flat_map(Tree::numbers).filter(|all| all.len() > MAX_ALIKE);
        let mut frequency = HashMap::<&[u8], usize>::new();
        for literal in crowds().flatten().flat_map(|index| literals_of(*index)) {
            *frequency.entry(literal).or_default() += 1;
        }
        let mut by_literal = HashMap::<&[u8], Vec<usize>>::new();
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
        // There are more literals than an automaton can number: the wildcards stay where they are.
        let Ok(literals) = AhoCorasick::new(literals) else { return };
        let has_literal = |index: &usize| literals_of(*index).next().is_some();
        let crowded = suffixes.iter_mut().flat_map(Tree::numbers_mut);
        for numbers in crowded.filter(|all| all.len() > MAX_ALIKE) {
            numbers.retain(|index| !has_literal(index));
        }
        self.alike = Some(Alike { literals, items: found });
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
                    self.suffixes.push(Tree::default());
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
        self.items.push(Item { precedence, glob, next, value });
    }

    /// Files an item under its exact name, in the order of precedence; returns the item that follows it.
    fn link(&mut self, name: &[u8], index: usize, precedence: Precedence) -> Option<usize> {
        let Some(first) = self.exact.get_mut(name) else {
            self.exact.insert(name.into(), index);
            return None;
        };
        let wins = |items: &[Item<T>], at: usize| {
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

    /// The value that was inserted at this index, from 0.
    pub(super) fn get(&self, index: usize) -> Option<&T> {
        self.items.get(index).map(|item| &item.value)
    }

    /// Every value, in the order inserted.
    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.items.iter().map(|item| &item.value)
    }

    /// Every value, in the order of precedence, the first winner first.
    pub(super) fn by_precedence(&self) -> impl Iterator<Item = &T> {
        let mut items: Vec<&Item<T>> = self.items.iter().collect();
        items.sort_by_key(|item| Reverse(item.precedence));
        items.into_iter().map(|item| &item.value)
    }

    /// The match of the highest precedence that `wanted` accepts. It gets the value, and the part of the name that the
    /// wildcards match.
    pub(crate) fn best(&self, name: &[u8], wanted: impl Fn(&T, &[u8]) -> bool) -> Option<&T> {
        let mut best = self.exact_items(name).find(|item| wanted(&item.value, &[]));
        if best.is_some_and(|item| Some(item.precedence.tier) >= self.best_wildcard_tier) {
            return best.map(|item| &item.value);
        }
        self.each_wildcard(name, |item| {
            if best.is_none_or(|best| item.precedence > best.precedence)
                && let Some(wild) = item.glob.as_ref().and_then(|glob| glob.wild(name))
                && wanted(&item.value, wild)
            {
                best = Some(item);
            }
        });
        best.map(|item| &item.value)
    }

    /// Calls `found` with every value whose pattern matches, in any order, once or several times.
    pub(super) fn each<'a>(&'a self, name: &[u8], mut found: impl FnMut(&'a T, Precedence)) {
        self.exact_items(name).for_each(|item| found(&item.value, item.precedence));
        self.each_wildcard(name, |item| {
            if item.glob.as_ref().is_some_and(|glob| glob.wild(name).is_some()) {
                found(&item.value, item.precedence);
            }
        });
    }

    /// The items of an exact name, the winner first.
    fn exact_items(&self, name: &[u8]) -> impl Iterator<Item = &Item<T>> {
        let first = self.exact.get(name).and_then(|index| self.items.get(*index));
        std::iter::successors(first, |item| item.next.and_then(|next| self.items.get(next)))
    }

    /// Calls `found` with every wildcard whose literal beginning and end fit, or which has a rare literal in common with the
    /// name: with all that match, once or several times.
    fn each_wildcard<'a>(&'a self, name: &[u8], mut found: impl FnMut(&'a Item<T>)) {
        self.prefixes.walk(name.iter().copied(), |below| {
            let Some(tree) = self.suffixes.get(below) else { return };
            tree.walk(name.iter().rev().copied(), |index| {
                if let Some(item) = self.items.get(index) {
                    found(item);
                }
            });
        });
        let Some(Alike { literals, items }) = &self.alike else { return };
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
            (pattern, Weight::of(Tier::Catalogue(0)), (*text).to_owned())
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
    fn a_match_that_is_not_wanted_leaves_the_next_best() {
        let matcher = matcher(&["/collect", "/col*"]);
        let found = matcher.best(b"/collect", |value, _| value != "/collect");
        assert_eq!(found.map(String::as_str), Some("/col*"));
    }

    #[test]
    fn a_placeholder_beats_a_star_and_a_condition_loses_to_both() {
        let rules = ["sid_*", "sid_{digits}", "*_x", "sid_x*_x"].map(|text| {
            let pattern = Pattern::new(text).expect("a valid pattern");
            let yields = text == "sid_x*_x";
            let value = if yields { "conditional" } else { text };
            (pattern, Weight { yields, ..Weight::of(Tier::Catalogue(0)) }, value.to_owned())
        });
        let matcher = Matcher::compile(rules);
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
        fn the_match_of_the_highest_precedence_is_found_whatever_is_not_wanted(
            patterns in proptest::collection::vec(("[ab*]{1,4}", 0..3_u16, any::<bool>(), any::<bool>()), 1..60),
            name in "[ab]{0,6}",
        ) {
            let (mut rules, mut best) = (Vec::new(), None);
            for (text, tier, yields, wanted) in &patterns {
                let Ok(pattern) = Pattern::new(text) else { continue };
                let weight = Weight { yields: *yields, ..Weight::of(Tier::Catalogue(*tier)) };
                let precedence = precedence(&pattern, weight, rules.len());
                rules.push((pattern, weight, (precedence, *wanted)));
                if *wanted && plain_match(text.as_bytes(), name.as_bytes()) {
                    best = best.max(Some(precedence));
                }
            }
            let matcher = Matcher::compile(rules);
            let found = matcher.best(name.as_bytes(), |(_, wanted), _| *wanted);
            prop_assert_eq!(found.map(|(precedence, _)| *precedence), best);
            let mut all = None;
            matcher.each(name.as_bytes(), |(precedence, wanted), given| {
                assert_eq!(*precedence, given);
                if *wanted {
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
        fn the_trees_find_what_a_plain_search_finds(
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
