//! Pattern for the start of a request body, in beacon rules.

/// The part of a request body that beacon rules match, in bytes.
pub const BODY_START: usize = 512;

/// A pattern for the start of a request body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyPattern {
    start: Box<[u8]>,
    /// The texts after each `*`, in order.
    later: Vec<Box<[u8]>>,
}

impl BodyPattern {
    /// Parses a pattern: `*` matches any bytes, and the end of the body is free. `None` if the
    /// pattern matches every body.
    pub fn new(text: &str) -> Option<Self> {
        let mut pieces = text.split('*').map(str::as_bytes);
        let start: Box<[u8]> = pieces.next()?.into();
        let later: Vec<Box<[u8]>> =
            pieces.filter(|piece| !piece.is_empty()).map(Box::from).collect();
        (!start.is_empty() || !later.is_empty()).then_some(Self { start, later })
    }

    /// Whether a body with this start matches. Reads at most [`BODY_START`] bytes.
    pub fn matches(&self, body: &[u8]) -> bool {
        let body = body.get(..BODY_START).unwrap_or(body);
        let Some(mut rest) = body.strip_prefix(&*self.start) else { return false };
        self.later.iter().all(|piece| {
            let found = memchr::memmem::find(rest, piece);
            let after = found.and_then(|at| rest.get(at + piece.len()..));
            rest = after.unwrap_or_default();
            after.is_some()
        })
    }
}

/// The start of a request body, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyStart<'a> {
    /// The request has no body, or the carrier cannot read it. Rules with a body pattern do not match.
    Unavailable,
    /// Not read yet. Rules with a body pattern may match.
    Unread,
    /// At least [`BODY_START`] bytes, or the whole body.
    Read(&'a [u8]),
}

impl BodyStart<'_> {
    /// Whether a body may match a pattern.
    pub(super) fn may_match(self, pattern: &BodyPattern) -> bool {
        match self {
            Self::Unavailable => false,
            Self::Unread => true,
            Self::Read(body) => pattern.matches(body),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_the_start_of_a_body() {
        for (pattern, body, expected) in [
            ("{\"n\":\"*\",\"u\":\"http*", "{\"n\":\"pageview\",\"u\":\"https://a/\"}", true),
            ("{\"n\":\"*\",\"u\":\"http*", "{\"u\":\"https://a/\",\"n\":\"pageview\"}", false),
            ("{\"n\":\"*\",\"u\":\"http*", "{\"n\":\"pageview\"}", false),
            ("app_key=", "app_key=1&x=2", true),
            ("app_key=*", "x=2&app_key=1", false),
            ("*&rt.start=*", "a=1&rt.start=2", true),
            ("*&rt.start=*", "rt.start=2", false),
            ("\u{1f}", "\u{1f}\u{8}", true),
            ("ab*ab", "ab", false),
            ("ab*ab", "abab", true),
            ("a", "", false),
        ] {
            let parsed = BodyPattern::new(pattern).expect("a pattern");
            assert_eq!(parsed.matches(body.as_bytes()), expected, "{pattern} {body}");
        }
        for pattern in ["", "*", "**"] {
            assert_eq!(BodyPattern::new(pattern), None);
        }
    }

    #[test]
    fn only_the_start_of_a_long_body_is_searched() {
        let pattern = BodyPattern::new("*needle").expect("a pattern");
        let body = |before: usize| [vec![b' '; before], b"needle".to_vec()].concat();
        assert!(pattern.matches(&body(BODY_START - 6)));
        assert!(!pattern.matches(&body(BODY_START - 5)));
    }
}
