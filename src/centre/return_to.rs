//! Where a visitor goes back to: a path of this site, and nothing else (an open redirect would lend the
//! site's name to anybody's page).

/// Paths longer than this, in octets, are not gone back to.
const MAX_OCTETS: usize = 2048;

/// The path and query, when they are of this site whatever a browser makes of them.
pub(super) fn local(text: &str) -> Option<&str> {
    // Two slashes begin a host; browsers take `\` for `/`, and drop tabs and line breaks.
    let begins = text.starts_with('/') && !text.starts_with("//");
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\' && byte != b'#';
    let whole = text.len() <= MAX_OCTETS && text.bytes().all(plain);
    (begins && whole).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_paths_of_this_site_are_gone_back_to() {
        for (text, good) in [
            ("/", true),
            ("/shop?item=1&x=%2F", true),
            ("/a//b", true),
            ("//evil.example", false),
            ("/\\evil.example", false),
            ("/\t/evil.example", false),
            ("/\r\nSet-Cookie: a=1", false),
            ("https://evil.example/", false),
            ("javascript:alert(1)", false),
            ("evil", false),
            ("", false),
            ("/ä", false),
            ("/a b", false),
            ("/#x", false),
        ] {
            assert_eq!(local(text).is_some(), good, "{text:?}");
        }
        assert!(local(&format!("/{}", "a".repeat(2047))).is_some());
        assert!(local(&format!("/{}", "a".repeat(2048))).is_none());
    }

    proptest! {
        #[test]
        fn whatever_is_gone_back_to_is_a_path_in_a_header_field(text in "[/\\\\a-z:.@?#\r\n\t %]{0,20}") {
            if let Some(local) = local(&text) {
                prop_assert!(local.starts_with('/') && !local.starts_with("//"));
                let value = http::HeaderValue::from_str(local);
                prop_assert!(value.is_ok());
            }
        }
    }
}
