//! Name patterns with wildcards and placeholders.

use std::borrow::Cow;
use std::fmt::Write;

use thiserror::Error;

/// Maximum length of a pattern, in bytes.
const MAX_PATTERN_BYTES: usize = 256;
/// Maximum count in a placeholder.
const MAX_COUNT: usize = 256;

/// A name, a name with `*` for any number of bytes, or a name with placeholders such as `{hex:32}`.
/// Case-sensitive.
///
/// A placeholder matches a run of characters of one class: `{digits}`, `{hex}`, `{upper}`,
/// `{alnum}` or `{word}` (letters, digits, `_` and `-`). `{hex:32}` matches exactly 32 characters,
/// `{hex:8-32}` 8 to 32, and without a count one or more. Placeholders are greedy.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern(String);

/// Why a pattern is invalid.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PatternError {
    /// The text is empty.
    #[error("the pattern is empty")]
    Empty,
    /// The text exceeds the maximum length.
    #[error("the pattern is longer than {MAX_PATTERN_BYTES} bytes")]
    TooLong,
    /// The pattern would match every name.
    #[error("the pattern is only `*`: it would match every name")]
    OnlyWildcards,
    /// The placeholder is unknown.
    #[error(
        "`{{{0}}}` is not a placeholder: known are {{digits}}, {{hex}}, {{upper}}, {{alnum}} and {{word}}, with a count such as {{hex:32}} or {{hex:8-32}}"
    )]
    UnknownPlaceholder(String),
    /// A brace has no counterpart.
    #[error("`{{` without `}}`, or `}}` without `{{`: write `*` for a brace in a name")]
    UnpairedBrace,
}

/// The character class of a placeholder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Digits,
    Hex,
    Upper,
    Alnum,
    Word,
}

impl Class {
    const ALL: [(&'static str, Self); 5] = [
        ("digits", Self::Digits),
        ("hex", Self::Hex),
        ("upper", Self::Upper),
        ("alnum", Self::Alnum),
        ("word", Self::Word),
    ];

    fn has(self, byte: u8) -> bool {
        match self {
            Self::Digits => byte.is_ascii_digit(),
            Self::Hex => byte.is_ascii_hexdigit(),
            Self::Upper => byte.is_ascii_uppercase(),
            Self::Alnum => byte.is_ascii_alphanumeric(),
            Self::Word => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'),
        }
    }

    fn regex(self) -> &'static str {
        match self {
            Self::Digits => "[0-9]",
            Self::Hex => "[0-9A-Fa-f]",
            Self::Upper => "[A-Z]",
            Self::Alnum => "[0-9A-Za-z]",
            Self::Word => "[0-9A-Za-z_-]",
        }
    }
}

/// A run of characters of one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    class: Class,
    least: usize,
    most: usize,
}

impl Run {
    /// The length of the run at the start of a text, or at its end with `from_end`. `None` if it is
    /// too short.
    pub(super) fn length(self, text: &[u8], from_end: bool) -> Option<usize> {
        let has = |byte: &&u8| self.class.has(**byte);
        let length = match from_end {
            false => text.iter().take(self.most).take_while(has).count(),
            true => text.iter().rev().take(self.most).take_while(has).count(),
        };
        (length >= self.least).then_some(length)
    }

    /// The run next to a `*`, which matches the remaining characters.
    pub(super) fn shortest(self) -> Self {
        Self { most: self.least, ..self }
    }

    /// Parses the text between the braces of a placeholder.
    fn parse(text: &str) -> Option<Self> {
        let (name, count) = match text.split_once(':') {
            Some((name, count)) => (name, Some(count)),
            None => (text, None),
        };
        let (_, class) = Class::ALL.into_iter().find(|(known, _)| *known == name)?;
        let number =
            |text: &str| text.parse().ok().filter(|number| (1..=MAX_COUNT).contains(number));
        let (least, most) = match count.map(|count| count.split_once('-').unwrap_or((count, count)))
        {
            Some((least, most)) => (number(least)?, number(most)?),
            None => (1, MAX_COUNT),
        };
        (least <= most).then_some(Self { class, least, most })
    }
}

/// One part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part<'a> {
    Literal(&'a str),
    Run(Run),
    Any,
}

impl Pattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// If the text is empty, longer than 256 bytes, contains only `*`, or has braces that do not
    /// form a placeholder.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            Err(PatternError::Empty)
        } else if text.len() > MAX_PATTERN_BYTES {
            Err(PatternError::TooLong)
        } else if text.bytes().all(|byte| byte == b'*') {
            Err(PatternError::OnlyWildcards)
        } else {
            parts(text)?;
            Ok(Self(text.to_owned()))
        }
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The pattern for display, with `*` for each placeholder.
    pub fn shown(&self) -> Cow<'_, str> {
        if !self.0.contains('{') {
            return Cow::Borrowed(&self.0);
        }
        let shown = self.parts().into_iter().map(|part| match part {
            Part::Literal(text) => text,
            Part::Run(_) | Part::Any => "*",
        });
        Cow::Owned(shown.collect())
    }

    /// The pattern as a JavaScript regular expression, without anchors.
    pub fn regex(&self) -> String {
        let mut regex = String::new();
        for part in self.parts() {
            match part {
                Part::Any => regex.push_str("[^]*"),
                Part::Run(Run { class, least, most }) => {
                    let _ = write!(regex, "{}{{{least},{most}}}", class.regex());
                }
                Part::Literal(text) => {
                    for letter in text.chars() {
                        if r".+?^$()|[]\/".contains(letter) {
                            regex.push('\\');
                        }
                        regex.push(letter);
                    }
                }
            }
        }
        regex
    }

    /// Whether the pattern matches exactly one name.
    pub fn is_exact(&self) -> bool {
        !self.0.contains(['*', '{'])
    }

    /// Whether the pattern has a placeholder for upper-case letters.
    pub(super) fn has_upper(&self) -> bool {
        // A brace always begins a placeholder.
        self.0.contains("{upper")
    }

    /// The parts of the pattern, in order.
    pub(super) fn parts(&self) -> Vec<Part<'_>> {
        parts(&self.0).unwrap_or_default()
    }
}

fn parts(text: &str) -> Result<Vec<Part<'_>>, PatternError> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['*', '{', '}']) {
        let (literal, from) = rest.split_at(at);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        rest = match from.strip_prefix('*') {
            Some(after) => {
                parts.push(Part::Any);
                after
            }
            None => {
                let inner = from.strip_prefix('{').and_then(|inner| inner.split_once('}'));
                let (inner, after) = inner.ok_or(PatternError::UnpairedBrace)?;
                let run = Run::parse(inner);
                parts.push(Part::Run(
                    run.ok_or_else(|| PatternError::UnknownPlaceholder(inner.to_owned()))?,
                ));
                after
            }
        };
    }
    if !rest.is_empty() {
        parts.push(Part::Literal(rest));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_match_everything_or_nothing_are_rejected() {
        assert_eq!(Pattern::new(""), Err(PatternError::Empty));
        assert_eq!(Pattern::new("**"), Err(PatternError::OnlyWildcards));
        assert_eq!(Pattern::new(&"x".repeat(257)), Err(PatternError::TooLong));
    }

    #[test]
    fn invalid_placeholders_are_rejected() {
        for text in ["a{", "a}", "}a{", "a{hex}}", "a{hex"] {
            assert_eq!(Pattern::new(text), Err(PatternError::UnpairedBrace), "{text}");
        }
        for inner in [
            "", "id", "hex:", "hex:0", "hex:257", "hex:9-8", "hex:x", "HEX", "hex:1-", "hex:-2",
            "{hex",
        ] {
            let text = format!("a{{{inner}}}");
            let error = PatternError::UnknownPlaceholder(inner.to_owned());
            assert_eq!(Pattern::new(&text), Err(error), "{text}");
        }
    }

    #[test]
    fn patterns_convert_to_text_and_regular_expressions() {
        let pattern = Pattern::new("a.b_{hex:8-32}*[{digits}]").expect("a valid pattern");
        assert_eq!(pattern.shown(), "a.b_**[*]");
        assert_eq!(pattern.regex(), r"a\.b_[0-9A-Fa-f]{8,32}[^]*\[[0-9]{1,256}\]");
        assert!(!pattern.is_exact());
        let exact = Pattern::new("csrf[a]").expect("a valid pattern");
        assert!(exact.is_exact() && exact.shown() == "csrf[a]");
    }
}
