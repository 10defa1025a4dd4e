//! Compiled patterns and matching.

use memchr::memmem::find;

use super::pattern::{Part, Pattern, Run};

/// A compiled pattern with at least one `*` or placeholder.
///
/// The pattern is split at each `*`. The first group must match at the start of the name, the last
/// at its end, and the others between them, in order.
#[derive(Debug)]
pub(super) struct Glob {
    first: Vec<Piece>,
    middle: Vec<Vec<Piece>>,
    /// `None` for a pattern without `*`, where the first group is the whole pattern.
    last: Option<Vec<Piece>>,
}

#[derive(Debug)]
enum Piece {
    Literal(Box<[u8]>),
    Run(Run),
}

impl Glob {
    /// Compiles a pattern. `None` for an exact name.
    pub(super) fn new(pattern: &Pattern) -> Option<Self> {
        if pattern.is_exact() {
            return None;
        }
        let parts = pattern.parts();
        let mut groups = parts.split(|part| *part == Part::Any).map(pieces);
        let mut first = groups.next()?;
        let mut middle: Vec<Vec<Piece>> = groups.collect();
        let mut last = middle.pop();
        if let Some(last) = &mut last {
            shorten(first.last_mut());
            shorten(last.first_mut());
            middle.iter_mut().for_each(|group| shorten(group.last_mut()));
        }
        middle.retain(|group| !group.is_empty());
        Some(Self { first, middle, last })
    }

    /// The literal prefix of the pattern.
    pub(super) fn prefix(&self) -> &[u8] {
        literal(self.first.first())
    }

    /// The literal suffix of the pattern.
    pub(super) fn suffix(&self) -> &[u8] {
        match (&self.last, self.first.as_slice()) {
            (Some(last), _) => literal(last.last()),
            (None, [_, .., last]) => literal(Some(last)),
            (None, _) => &[],
        }
    }

    /// The literal parts. Every matching name contains all of them.
    pub(super) fn literals(&self) -> impl Iterator<Item = &[u8]> {
        let groups = [&self.first].into_iter().chain(&self.middle).chain(&self.last);
        groups.flatten().map(|piece| literal(Some(piece))).filter(|text| !text.is_empty())
    }

    /// The part of a name that the wildcards match: everything between the literal prefix and
    /// suffix. `None` if the pattern does not match.
    pub(super) fn wild<'a>(&self, name: &'a [u8]) -> Option<&'a [u8]> {
        let rest = forward(&self.first, name)?;
        match &self.last {
            None if rest.is_empty() => {}
            None => return None,
            Some(last) => {
                let mut rest = backward(last, rest)?;
                for group in &self.middle {
                    rest = after(group, rest)?;
                }
            }
        }
        name.get(self.prefix().len()..name.len().checked_sub(self.suffix().len())?)
    }
}

/// Shortens a run next to a `*` to its minimum: the `*` matches the rest.
fn shorten(piece: Option<&mut Piece>) {
    if let Some(Piece::Run(run)) = piece {
        *run = run.shortest();
    }
}

/// Whether a pattern matches a text.
pub(super) fn matches(pattern: &Pattern, text: &[u8]) -> bool {
    match Glob::new(pattern) {
        None => pattern.as_str().as_bytes() == text,
        Some(glob) => glob.wild(text).is_some(),
    }
}

fn pieces(parts: &[Part<'_>]) -> Vec<Piece> {
    let piece = |part: &Part<'_>| match part {
        Part::Literal(text) => Some(Piece::Literal(text.as_bytes().into())),
        Part::Run(run) => Some(Piece::Run(*run)),
        Part::Any => None,
    };
    parts.iter().filter_map(piece).collect()
}

fn literal(piece: Option<&Piece>) -> &[u8] {
    match piece {
        Some(Piece::Literal(text)) => text,
        _ => &[],
    }
}

/// The text after the pieces, which must match at its start.
fn forward<'a>(pieces: &[Piece], text: &'a [u8]) -> Option<&'a [u8]> {
    pieces.iter().try_fold(text, |rest, piece| match piece {
        Piece::Literal(text) => rest.strip_prefix(&**text),
        Piece::Run(run) => rest.get(run.length(rest, false)?..),
    })
}

/// The text after the first match of the pieces.
fn after<'a>(pieces: &[Piece], text: &'a [u8]) -> Option<&'a [u8]> {
    match pieces {
        [Piece::Literal(literal)] => text.get(find(text, literal)? + literal.len()..),
        _ => (0..=text.len()).find_map(|start| forward(pieces, text.get(start..)?)),
    }
}

/// The text before the pieces, which must match at its end.
fn backward<'a>(pieces: &[Piece], text: &'a [u8]) -> Option<&'a [u8]> {
    pieces.iter().rev().try_fold(text, |rest, piece| match piece {
        Piece::Literal(text) => rest.strip_suffix(&**text),
        Piece::Run(run) => rest.get(..rest.len().checked_sub(run.length(rest, true)?)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fits(pattern: &str, name: &str) -> bool {
        let pattern = Pattern::new(pattern).expect("a valid pattern");
        Glob::new(&pattern).expect("a wildcard").wild(name.as_bytes()).is_some()
    }

    #[test]
    fn a_placeholder_matches_only_its_character_class_and_length() {
        let md5 = "8f14e45fceea167a5a36dedd4bea2543";
        for (pattern, name, expected) in [
            ("wordpress_{hex:32}", &*format!("wordpress_{md5}"), true),
            ("wordpress_{hex:32}", &format!("wordpress_{md5}0"), false),
            ("wordpress_{hex:32}", &format!("wordpress_{}", &md5[1..]), false),
            ("wordpress_{hex:32}", &format!("Wordpress_{md5}"), false),
            ("wordpress_{hex:32}", &format!("xwordpress_{md5}"), false),
            ("{hex:32}", md5, true),
            ("{hex:32}", &md5.to_uppercase(), true),
            ("{hex:32}", "tracking_visitors_of_every_page_!", false),
            ("SESS{hex:16-32}", "SESS0123456789abcdef", true),
            ("SESS{hex:16-32}", "SESSIONTRACK", false),
            ("pmaUser-{digits}", "pmaUser-1", true),
            ("pmaUser-{digits}", "pmaUser-12", true),
            ("pmaUser-{digits}", "pmaUser-", false),
            ("pmaUser-{digits}", "pmaUser-1a", false),
            ("username-*-{digits}", "username-my-host.example-8888", true),
            ("username-*-{digits}", "username-localhost", false),
            ("username-*-{digits}", "username--8888", true),
            ("oc{alnum:10}", "oc1a2b3c4d5e", true),
            ("oc{alnum:10}", "oc_track_1234", false),
            ("ASPSESSIONID{upper:8}", "ASPSESSIONIDQADTCRCB", true),
            ("ASPSESSIONID{upper:8}", "ASPSESSIONIDqadtcrcb", false),
            ("{alnum:4}_{hex:4}_auth", "Yz3k_2132_auth", true),
            ("{alnum:4}_{hex:4}_auth", "Yz3k_2132_oauth", false),
            ("a{digits}b*c{digits}d*{digits}", "a1bxxc2c3dx9", true),
            ("a{digits}b*c{digits}d*{digits}", "a1bxxc2c3x9", false),
            ("a*{digits}", "a7", true),
            ("{digits}*{digits}", "11", true),
            ("{digits}*{digits}", "1", false),
            ("a*b{digits}*{digits}", "ab12", true),
            ("aa*aa", "aaa", false),
            ("a{digits}a", "aa", false),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn the_wild_part_excludes_literal_prefix_and_suffix() {
        let wild = |pattern: &str, name: &'static str| {
            let pattern = Pattern::new(pattern).expect("a valid pattern");
            let wild = Glob::new(&pattern).expect("a wildcard").wild(name.as_bytes())?;
            std::str::from_utf8(wild).ok()
        };
        assert_eq!(wild("_*_session", "_shop_session"), Some("shop"));
        assert_eq!(wild("*_session", "_session"), Some(""));
        assert_eq!(wild("a*x*b", "a1x2b"), Some("1x2"));
        assert_eq!(wild("oc{alnum:10}", "ocvisitors12"), Some("visitors12"));
        assert_eq!(wild("{hex:4}_a*b", "beef_a1b"), Some("beef_a1"));
    }

    proptest! {
        #[test]
        fn a_glob_matches_what_its_regular_expression_matches(
            parts in proptest::collection::vec("a|b|_|\\*|\\{digits\\}|\\{digits:2\\}|\\{digits:1-3\\}", 1..6),
            name in "[ab_12]{0,8}",
        ) {
            let text: String = parts.concat();
            // Two adjacent runs of one class are not comparable: the first one is greedy.
            prop_assume!(!text.contains("}{"));
            let Ok(pattern) = Pattern::new(&text) else { return Ok(()) };
            let Some(glob) = Glob::new(&pattern) else { return Ok(()) };
            let regex = format!("^(?:{})$", pattern.regex().replace("[^]", "(?s:.)"));
            let regex = regex_lite::Regex::new(&regex).expect("a valid expression");
            prop_assert_eq!(glob.wild(name.as_bytes()).is_some(), regex.is_match(&name), "{}", text);
        }
    }
}
