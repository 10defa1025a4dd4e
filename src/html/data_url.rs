//! Pages in `data:` URLs (Fetch section 6).

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::PAD_INDIFFERENT;
use percent_encoding::{percent_decode, percent_decode_str};

use super::media_type::{DocumentKind, MediaType};
use super::url_policy::trimmed;

/// Decodes like browsers, and encodes with padding.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, PAD_INDIFFERENT.with_decode_allow_trailing_bits(true));

/// A page in a `data:` URL.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DataUrl {
    /// The text before the comma, without `;base64`.
    header: String,
    pub(super) kind: DocumentKind,
    pub(super) media_type: MediaType,
    pub(super) bytes: Vec<u8>,
}

impl DataUrl {
    /// Parses an attribute value. `None` if it is not a page.
    pub(super) fn page(value: &str) -> Option<Self> {
        let value = trimmed(value);
        let (scheme, rest) = value.split_once(':')?;
        let (header, body) = rest.split('#').next()?.split_once(',')?;
        let encoded = header.trim_end().rsplit_once(';').and_then(|(before, last)| {
            last.trim().eq_ignore_ascii_case("base64").then_some(before.trim_end())
        });
        let header = encoded.unwrap_or(header);
        let decoded: Vec<u8> = percent_decode_str(header).collect();
        let media_type = MediaType::parse(std::iter::once(&*decoded))?;
        let kind = media_type.kind.filter(|_| scheme.eq_ignore_ascii_case("data"))?;
        let mut bytes: Vec<u8> = percent_decode(body.as_bytes()).collect();
        if encoded.is_some() {
            bytes.retain(|byte| !byte.is_ascii_whitespace());
            bytes = BASE64.decode(bytes).ok()?;
        }
        Some(Self { header: header.to_owned(), kind, media_type, bytes })
    }

    /// A URL of the same media type with other content.
    pub(super) fn with(&self, bytes: &[u8]) -> String {
        format!("data:{};base64,{}", self.header, BASE64.encode(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_data_urls_are_decoded_and_others_are_not() {
        for (url, page) in [
            ("data:text/html,<p>%41", Some((DocumentKind::Html, "<p>A"))),
            (" DATA:text/ht\nml;charset=utf-8;base64,PHA+", Some((DocumentKind::Html, "<p>"))),
            ("data:text/html;Base64 ,PHA%2B", Some((DocumentKind::Html, "<p>"))),
            ("data:image/svg+xml,<svg/>#x", Some((DocumentKind::Svg, "<svg/>"))),
            ("data:text/plain,<p>", None),
            ("data:,<p>", None),
            ("data:text/html", None),
            ("https://a.example/data:text/html,x", None),
            ("", None),
        ] {
            let found = DataUrl::page(url);
            let found = found.map(|data| (data.kind, String::from_utf8(data.bytes).expect("text")));
            assert_eq!(found, page.map(|(kind, text)| (kind, text.to_owned())), "{url}");
        }
        let data = DataUrl::page("data:text/html;a=b;base64,PHA+").expect("a page");
        assert_eq!(data.with(b"<b>"), "data:text/html;a=b;base64,PGI+");
    }
}
