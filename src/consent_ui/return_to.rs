//! Validation of return paths. Only paths of this site are accepted, to prevent open redirects.

use http::header::{HeaderMap, REFERER};

use crate::http::on_named_host;

use crate::http::Fields;

/// Maximum length of a return path, in bytes.
const MAX_BYTES: usize = 2048;

/// The path and query, if browsers certainly interpret them as a location on this site.
pub(super) fn is_local_path(text: &str) -> Option<&str> {
    // Two slashes start a host. Browsers treat `\` as `/`, and drop tabs and line breaks.
    let begins = text.starts_with('/') && !text.starts_with("//");
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\' && byte != b'#';
    let whole = text.len() <= MAX_BYTES && text.bytes().all(plain);
    (begins && whole).then_some(text)
}

/// The return path: the one in a form or link, else the referring page.
///
/// The banner of a compressed page contains no return path. Path and query are chosen by the
/// visitor. Next to a secret in the page, the compressed length would reveal how much of the secret
/// they repeat (BREACH).
pub(super) fn back<'a>(
    named: Option<&'a str>,
    headers: &'a HeaderMap,
    prefix: &str,
) -> Option<&'a str> {
    named.or_else(|| referring_page(headers).filter(|path| !path.starts_with(prefix)))
}

/// Path and query of the referring page, if it is on this host.
pub(crate) fn referring_page(fields: &impl Fields) -> Option<&str> {
    let referer = std::str::from_utf8(fields.value(&REFERER)?).ok()?;
    is_local_path(on_named_host(referer, fields)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::HOST;
    use proptest::prelude::*;

    #[test]
    fn only_local_paths_are_redirect_targets() {
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
            assert_eq!(is_local_path(text).is_some(), good, "{text:?}");
        }
        assert!(is_local_path(&format!("/{}", "a".repeat(2047))).is_some());
        assert!(is_local_path(&format!("/{}", "a".repeat(2048))).is_none());
    }

    #[test]
    fn the_referring_page_is_the_default_redirect_target() {
        for (named, referer, expected) in [
            (None, "https://shop.example/a?b=c", Some("/a?b=c")),
            (None, "http://SHOP.example/", Some("/")),
            (Some("/other"), "https://shop.example/a?b=c", Some("/other")),
            (Some("/a"), "https://evil.example/a?b=c", Some("/a")),
            (None, "https://shop.example.evil.example/a", None),
            (None, "https://user@shop.example/a", None),
            (None, "https://shop.example", None),
            (None, "https://shop.example//evil.example", None),
            (None, "https://shop.example/.consentry/notice", None),
            (None, "", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, http::HeaderValue::from_static("shop.example"));
            headers.insert(REFERER, http::HeaderValue::from_static(referer));
            assert_eq!(back(named, &headers, "/.consentry/"), expected, "{named:?} {referer}");
        }
        assert_eq!(back(Some("/a"), &HeaderMap::new(), "/.consentry/"), Some("/a"));
    }

    proptest! {
        #[test]
        fn every_redirect_target_is_a_path_that_a_header_field_can_hold(text in "/{0,2}[a-z]?[/\\\\a-z:.@?#\r\n\t %]{0,6}") {
            if let Some(local) = is_local_path(&text) {
                prop_assert!(local.starts_with('/') && !local.starts_with("//"));
                let value = http::HeaderValue::from_str(local);
                prop_assert!(value.is_ok());
            }
        }
    }
}
