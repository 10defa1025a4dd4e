//! Generalisation of names with a random part to a shared pattern, for example `sess_8f14e45fceea`
//! to `sess_*`. There are as many such names as visitors. Counters (`revision5`, `revision6`) have
//! a separate function, because a single such name may not be a counter.

use std::borrow::Cow;
/// Positions of the dashes in a UUID (RFC 9562 section 4).
const UUID_DASHES: [usize; 4] = [8, 13, 18, 23];
const UUID_BYTES: usize = 36;

/// The pattern of a name, or the name itself if no part looks random.
pub fn generalize_name(name: &str) -> Cow<'_, str> {
    if !name.bytes().any(|byte| byte.is_ascii_digit()) {
        return Cow::Borrowed(name);
    }
    let without_uuids = without_uuids(name);
    let mut folded = String::with_capacity(name.len());
    let mut start = 0;
    let is_separator = |byte: u8| !byte.is_ascii_alphanumeric();
    let bytes = without_uuids.as_bytes();
    for at in 0..=bytes.len() {
        if bytes.get(at).is_some_and(|byte| !is_separator(*byte)) {
            continue;
        }
        push_part(&mut folded, without_uuids.get(start..at).unwrap_or_default());
        let end =
            without_uuids.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8);
        folded.push_str(without_uuids.get(at..at + end).unwrap_or_default());
        start = at + end;
    }
    // `a-*-*-*` is equivalent to `a-*`.
    for doubled in ["*-*", "*_*", "*.*"] {
        while folded.contains(doubled) {
            folded = folded.replace(doubled, "*");
        }
    }
    let literal = folded.bytes().filter(u8::is_ascii_alphabetic).count();
    if folded == name || literal < 2 { Cow::Borrowed(name) } else { Cow::Owned(folded) }
}

/// Replaces each number in a generalised name with `*`. The name itself if it contains no numbers.
pub fn generalize_counters(name: &str) -> Cow<'_, str> {
    let is_digit = |letter: char| letter.is_ascii_digit();
    let letters = name.bytes().filter(u8::is_ascii_alphabetic).count();
    if letters < 2 || !name.contains(is_digit) {
        return Cow::Borrowed(name);
    }
    let mut folded = String::with_capacity(name.len());
    let mut rest = name;
    while let Some((before, number)) = rest.find(is_digit).and_then(|at| rest.split_at_checked(at))
    {
        folded.push_str(before);
        folded.push('*');
        rest = number.trim_start_matches(is_digit);
    }
    folded.push_str(rest);
    Cow::Owned(folded)
}

/// Replaces each UUID in a name with `*`.
fn without_uuids(name: &str) -> Cow<'_, str> {
    let mut shorter = String::new();
    let mut done = 0;
    for dash in memchr::memchr_iter(b'-', name.as_bytes()) {
        let Some(start) = dash.checked_sub(8).filter(|start| *start >= done) else { continue };
        let end = start + UUID_BYTES;
        if let (Some(before), Some(uuid)) = (name.get(done..start), name.get(start..end))
            && is_uuid(uuid)
        {
            shorter.push_str(before);
            shorter.push('*');
            done = end;
        }
    }
    if done == 0 {
        return Cow::Borrowed(name);
    }
    shorter.push_str(name.get(done..).unwrap_or_default());
    Cow::Owned(shorter)
}

pub(super) fn is_uuid(text: &str) -> bool {
    let mut bytes = text.bytes().enumerate();
    text.len() == UUID_BYTES
        && bytes.all(|(at, byte)| match UUID_DASHES.contains(&at) {
            true => byte == b'-',
            false => byte.is_ascii_hexdigit(),
        })
}

/// Appends one part between separators: unchanged, as a prefix with `*`, or as `*`.
fn push_part(folded: &mut String, part: &str) {
    if is_random(part) {
        folded.push('*');
        return;
    }
    // A word with a random suffix.
    let letters = part.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(part.len());
    match part.split_at_checked(letters) {
        Some((word, tail)) if word.len() > 1 && (is_random(tail) || is_mixed(tail)) => {
            folded.push_str(word);
            folded.push('*');
        }
        _ if is_mixed(part) => folded.push('*'),
        _ => folded.push_str(part),
    }
}

/// At least four decimal digits, or at least eight hexadecimal ones.
fn is_random(part: &str) -> bool {
    let digits = part.bytes().filter(u8::is_ascii_digit).count();
    match part.len() {
        length if length == digits => length >= 4,
        length => length >= 8 && digits > 0 && part.bytes().all(|byte| byte.is_ascii_hexdigit()),
    }
}

/// At least 16 letters and digits, including at least 3 digits.
fn is_mixed(part: &str) -> bool {
    let digits = part.bytes().filter(u8::is_ascii_digit).count();
    part.len() >= 16 && digits >= 3 && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_parts_become_wildcards_and_words_are_kept() {
        for (name, folded) in [
            ("sess_8f14e45fceea167a", "sess_*"),
            ("sess8f14e45fceea167a5a36dedd4bea2543", "sess*"),
            ("id_12345", "id_*"),
            ("visit-3f2504e0-4f89-11d3-9a0c-0305e82c3301", "visit-*"),
            (
                "3f2504e0-4f89-11d3-9a0c-0305e82c3301-ab-3F2504E0-4F89-11D3-9A0C-0305E82C3301",
                "*-ab-*",
            ),
            ("a-b-c-d-e1", "a-b-c-d-e1"),
            ("cart_7Hq2Kd93mZx81LpQ_items", "cart_*_items"),
            ("user.20261125.state", "user.*.state"),
            ("_ga", "_ga"),
            ("v2_theme", "v2_theme"),
            ("step3", "step3"),
            ("html5", "html5"),
            ("8f14e45fceea167a5a36dedd4bea2543", "8f14e45fceea167a5a36dedd4bea2543"),
            ("background_color", "background_color"),
            ("", ""),
            ("é_12345", "é_12345"),
        ] {
            assert_eq!(generalize_name(name), folded, "{name}");
        }
    }

    #[test]
    fn counters_become_wildcards() {
        for (name, folded) in [
            ("wikidbPostEditRevision5", "wikidbPostEditRevision*"),
            ("wikidbPostEditRevision123", "wikidbPostEditRevision*"),
            ("v2_step13", "v*_step*"),
            ("shop_*", "shop_*"),
            ("theme", "theme"),
            ("a1", "a1"),
            ("123", "123"),
            ("", ""),
        ] {
            assert_eq!(generalize_counters(name), folded, "{name}");
        }
    }
}
