//! Language negotiation: `Accept-Language` by RFC 9110 section 12.5.4, and lookup of a language by
//! RFC 4647 section 3.4.

use crate::http::parameter;

/// Maximum number of language ranges to read per field.
const MAX_RANGES: usize = 32;

/// The index of the language that the browser prefers.
pub(super) fn negotiate<'a>(
    accept_language: &str,
    tags: impl Iterator<Item = &'a str> + Clone,
) -> Option<usize> {
    // Fast path: usually the first range has the highest quality and is available.
    if let Some((first, rest)) = accept_language.split_once(',')
        && !first.contains(';')
        && !refuses(rest)
        && let Some(place) = lookup(first, tags.clone())
    {
        return Some(place);
    }
    let mut ranges: Vec<(u16, &str)> = accept_language
        .split(',')
        .take(MAX_RANGES)
        .filter_map(|range| {
            let (tag, parameters) = range.split_once(';').unwrap_or((range, ""));
            let quality = parameter(parameters, "q").map_or(Some(1000), thousandths)?;
            Some((quality, tag.trim())).filter(|(_, tag)| !tag.is_empty())
        })
        .collect();
    // The sort is stable: of equal qualities, the first one wins.
    ranges.sort_by_key(|(quality, _)| std::cmp::Reverse(*quality));
    let refused = |place: usize| {
        let tag = tags.clone().nth(place);
        ranges.iter().any(|(quality, range)| {
            *quality == 0 && tag.is_some_and(|tag| tag.eq_ignore_ascii_case(range))
        })
    };
    ranges
        .iter()
        .filter(|(quality, range)| *quality > 0 && *range != "*")
        .find_map(|(_, range)| lookup(range, tags.clone()).filter(|place| !refused(*place)))
}

/// Whether a range has the quality 0 (not acceptable). May return `true` for other qualities.
fn refuses(ranges: &str) -> bool {
    ranges.contains("=0,")
        || ranges.ends_with("=0")
        || ranges.contains("=0.0")
        || ranges.contains("= ")
}

/// A quality in thousandths (RFC 9110 section 12.4.2). `None` if it is invalid.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let fraction: u16 = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(fraction),
        "1" if fraction == 0 => Some(1000),
        _ => None,
    }
}

/// The index of the language that a range matches or is a variant of. `de-AT` matches `de`, and
/// both `pt` and `pt-PT` match any available Portuguese.
pub(super) fn lookup<'a>(
    range: &str,
    tags: impl Iterator<Item = &'a str> + Clone,
) -> Option<usize> {
    let mut range = range.trim();
    if range.len() > 64 {
        return None;
    }
    loop {
        if let Some(place) = tags.clone().position(|tag| tag.eq_ignore_ascii_case(range)) {
            return Some(place);
        }
        match range.rsplit_once('-') {
            Some((shorter, _)) => range = shorter,
            None => break,
        }
    }
    tags.clone()
        .position(|tag| tag.split('-').next().is_some_and(|main| main.eq_ignore_ascii_case(range)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAGS: [&str; 6] = ["de", "en", "ja", "pt-BR", "ru", "zh"];

    #[test]
    fn the_preferred_language_is_found_by_quality_and_primary_tag() {
        for (asked, expected) in [
            ("de", Some("de")),
            ("de-AT,en;q=0.5", Some("de")),
            ("en;q=0.5, ja;q=0.9, ru;q=0.7", Some("ja")),
            ("sv, fi;q=0.9, ru;q=0.1", Some("ru")),
            ("zh-Hant-TW", Some("zh")),
            ("pt", Some("pt-BR")),
            ("pt-PT;q=0.8, en;q=0.7", Some("pt-BR")),
            ("PT-br", Some("pt-BR")),
            ("en, de", Some("en")),
            ("de;q=0, de-AT;q=0.8, en;q=0.2", Some("en")),
            ("de ; q = 0.2 , ja ; Q=0.3", Some("ja")),
            ("ru;q=2, ja;q=0.1234, en;q=0.001", Some("en")),
            ("de-AT, de;q=0, en;q=0.5", Some("en")),
            ("de-AT, en;q=0.5, de;q=0", Some("en")),
            ("de-AT, de;q=0.000, en;q=0.5", Some("en")),
            ("*", None),
            ("*, de;q=0.5", Some("de")),
            ("sv", None),
            ("", None),
            (";;,,q=1", None),
            ("-", None),
            ("sv, ru;q=0.5, ja;q=0.5", Some("ru")),
            ("sv, ja;q=0.5, ru;q=0.5", Some("ja")),
        ] {
            let found = negotiate(asked, TAGS.into_iter()).map(|place| TAGS[place]);
            assert_eq!(found, expected, "{asked}");
        }
    }

    #[test]
    fn a_language_field_is_parsed_up_to_32_ranges_of_64_bytes() {
        let after = |count: usize| "sv;q=0.9,".repeat(count) + "de;q=0.5";
        assert!(negotiate(&after(31), TAGS.into_iter()).is_some());
        assert!(negotiate(&after(32), TAGS.into_iter()).is_none());
        assert!(lookup(&format!("de-{}", "x".repeat(61)), TAGS.into_iter()).is_some());
        assert!(lookup(&format!("de-{}", "x".repeat(62)), TAGS.into_iter()).is_none());
    }
}
