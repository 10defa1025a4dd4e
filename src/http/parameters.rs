//! Values with parameters, `value;name=value` (RFC 9110 section 5.6.6): media types, codings, language
//! ranges and links.

/// The value without its parameters.
pub(crate) fn without_parameters(value: &[u8]) -> &[u8] {
    value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
}

/// The first parameter with this name, with its quotes.
pub(crate) fn parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    parameters.split(';').find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        key.trim_ascii().eq_ignore_ascii_case(name).then(|| value.trim_ascii())
    })
}

/// Splits a text behind the token or quoted string at its start, and unquotes that. `None` if it is
/// malformed.
pub(crate) fn split_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ';', ' ', '\t', '"', '=']).unwrap_or(text.len());
        let (token, after) = text.split_at_checked(end)?;
        return (!token.is_empty()).then(|| (token.to_owned(), after));
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return quoted.get(at + 1..).map(|after| (value, after)),
            '\\' => value.push(letters.next()?.1),
            _ => value.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_and_parameters_are_told_apart_and_trimmed() {
        for (text, value, charset) in [
            ("text/html", "text/html", None),
            (" Text/HTML ; Charset = \"utf-8\" ", "Text/HTML", Some("\"utf-8\"")),
            ("text/html;a=b;charset=x;charset=y", "text/html", Some("x")),
            ("text/html;charset", "text/html", None),
            (";charset=", "", Some("")),
            ("", "", None),
        ] {
            assert_eq!(without_parameters(text.as_bytes()), value.as_bytes(), "{text}");
            assert_eq!(parameter(text, "charset"), charset, "{text}");
        }
    }
}
