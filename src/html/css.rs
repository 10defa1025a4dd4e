//! Removal of blocked URLs from CSS (CSS Syntax), with Servo's parser.

use std::ops::Range;

use cssparser::{ParseError, Parser, Token};

use super::loads::Resource;

/// The CSS without blocked URLs. `None` if it contains none.
pub(super) fn without_refused(
    css: &str,
    refuses: &dyn Fn(&str, Resource) -> bool,
) -> Option<String> {
    let mut search = Search { refuses, found: Vec::new(), import: false };
    if search.walk(&mut Parser::new(css)).is_err() {
        // The nesting exceeds the parser's limit.
        return Some(String::new());
    }
    if search.found.is_empty() {
        return None;
    }
    let mut out = String::with_capacity(css.len());
    let mut from = 0;
    for (range, replacement) in search.found {
        out.push_str(css.get(from..range.start).unwrap_or_default());
        out.push_str(replacement);
        from = range.end;
    }
    out.push_str(css.get(from..).unwrap_or_default());
    Some(out)
}

struct Search<'a> {
    refuses: &'a dyn Fn(&str, Resource) -> bool,
    found: Vec<(Range<usize>, &'static str)>,
    /// Inside an `@import`.
    import: bool,
}

impl Search<'_> {
    fn walk(&mut self, parser: &mut Parser<'_>) -> Result<(), ParseError<()>> {
        loop {
            let start = parser.position().byte_index();
            let Ok(token) = parser.next_including_whitespace_and_comments() else { return Ok(()) };
            match token {
                Token::AtKeyword(name) => self.import = name.eq_ignore_ascii_case("import"),
                Token::Semicolon => self.import = false,
                Token::UnquotedUrl(url) => {
                    let url = url.clone();
                    self.check(&url, start..parser.position().byte_index(), "url(data:,)");
                }
                // Strings are URLs in `url()`, `@import`, `image-set()` and `src()`. Other strings
                // rarely look like URLs.
                Token::QuotedString(text) => {
                    let text = text.clone();
                    self.check(&text, start..parser.position().byte_index(), "\"data:,\"");
                }
                Token::Function(_)
                | Token::ParenthesisBlock
                | Token::SquareBracketBlock
                | Token::CurlyBracketBlock => {
                    parser.parse_nested_block(|parser| self.walk(parser))?
                }
                _ => {}
            }
        }
    }

    fn check(&mut self, url: &str, range: Range<usize>, replacement: &'static str) {
        let kind = if self.import { Resource::Stylesheet } else { Resource::Image };
        if (self.refuses)(url, kind) {
            self.found.push((range, replacement));
        }
    }
}

/// CSS in ASCII. Other characters are escaped, which is valid in names and strings (CSS Syntax
/// section 4.3.7).
pub(super) fn as_ascii(css: &str) -> Vec<u8> {
    let mut out = String::with_capacity(css.len());
    for letter in css.chars() {
        if letter.is_ascii() {
            out.push(letter);
        } else {
            out.push_str(&format!("\\{:x} ", u32::from(letter)));
        }
    }
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn css_urls_are_found_in_every_position_and_other_css_is_unchanged() {
        let refuses = |url: &str, _: Resource| url.contains("t.example");
        for (css, expected) in [
            ("a{background:url(https://t.example/a.png)}", Some("a{background:url(data:,)}")),
            ("a{background:url( 'https://t.example/a' )}", Some("a{background:url( \"data:,\" )}")),
            ("@import 'https://t.example/a.css';b{}", Some("@import \"data:,\";b{}")),
            ("a{b:image-set(\"//t.example/a\" 1x)}", Some("a{b:image-set(\"data:,\" 1x)}")),
            ("a{b:URL(https://\\74 .example/a)}", Some("a{b:url(data:,)}")),
            (
                "@media x{@supports (y){a{b:u\\rl(https://t.example/a)}}}",
                Some("@media x{@supports (y){a{b:url(data:,)}}}"),
            ),
            ("/* url(https://t.example) */ a{b:url(/a.png)}", None),
            ("a{b:url(https://other.example/a.png)", None),
            ("}}} a{b:url(https://t.example/a", Some("}}} a{b:url(data:,)")),
            ("", None),
        ] {
            assert_eq!(without_refused(css, &refuses).as_deref(), expected, "{css}");
        }
    }

    #[test]
    fn css_nested_too_deeply_is_dropped() {
        let css = format!("a{{b:{}url(https://t.example/a)", "(".repeat(1_000_000));
        assert_eq!(without_refused(&css, &|_, _| false).as_deref(), Some(""));
    }
}
