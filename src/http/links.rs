//! Fields with URLs: `Link` (RFC 8288 section 3) and `Refresh` (HTML section 4.2.5.3, shared
//! declarative refresh steps).

/// The links of a `Link` line: its members, split at commas outside of `<>` and quotes.
pub(crate) fn links(line: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped, mut in_url) = (false, false, false);
    let links = line.split(move |letter: char| {
        let separates = letter == ',' && !quoted && !in_url;
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' if !in_url => quoted = !quoted,
            '<' if !quoted => in_url = true,
            '>' if !quoted => in_url = false,
            _ => {}
        }
        separates
    });
    links.map(str::trim_ascii).filter(|link| !link.is_empty())
}

/// The target of a link, and its parameters. `None` if there is no target.
pub(crate) fn split_link(link: &str) -> Option<(&str, &str)> {
    link.strip_prefix('<')?.split_once('>')
}

/// The text before the URL of a `Refresh` value without its quote, and the URL. `None` if browsers
/// find no URL.
pub(crate) fn split_refresh(value: &str) -> Option<(&str, &str)> {
    let content = value.trim_ascii_start();
    let rest = content.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
    let separated =
        rest.starts_with([';', ',']) || rest.starts_with(|l: char| l.is_ascii_whitespace());
    if rest.len() == content.len() || !separated {
        return None;
    }
    let rest = rest.trim_ascii_start();
    let rest = rest.strip_prefix([';', ',']).unwrap_or(rest).trim_ascii_start();
    let named = rest.get(..3).is_some_and(|word| word.eq_ignore_ascii_case("url"));
    let url = named.then(|| rest.get(3..)?.trim_ascii_start().strip_prefix('=')).flatten();
    let url = url.map_or(rest, str::trim_ascii_start);
    let before = value.get(..value.len() - url.len())?;
    match url.chars().next() {
        Some(quote @ ('"' | '\'')) => Some((before, url.get(1..)?.split(quote).next()?)),
        _ => Some((before, url)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_between_its_links_only() {
        let line = "<a,b>; title=\"c, \\\" <d>\", , <e>;x=\">\" ,<f";
        let expected = ["<a,b>; title=\"c, \\\" <d>\"", "<e>;x=\">\"", "<f"];
        assert!(links(line).eq(expected));
        let targets = links(line).map(split_link);
        assert!(targets.eq([
            Some(("a,b", "; title=\"c, \\\" <d>\"")),
            Some(("e", ";x=\">\"")),
            None
        ]));
    }

    #[test]
    fn refresh_urls_are_parsed_like_browsers_parse_them() {
        for (value, expected) in [
            ("0;url=https://a.example/", Some(("0;url=", "https://a.example/"))),
            (" 5 ; URL = 'https://a.example/' x", Some((" 5 ; URL = ", "https://a.example/"))),
            ("0.5,https://a.example/", Some(("0.5,", "https://a.example/"))),
            ("1 https://a.example/", Some(("1 ", "https://a.example/"))),
            ("0;url=\"b", Some(("0;url=", "b"))),
            ("0;urlx", Some(("0;", "urlx"))),
            ("0;", Some(("0;", ""))),
            (".;a", Some((".;", "a"))),
            ("30", None),
            ("url=https://a.example/", None),
            ("0url=a", None),
        ] {
            assert_eq!(split_refresh(value), expected, "{value}");
        }
    }
}
