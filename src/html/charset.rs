//! The character encoding of a page, as browsers determine it (WHATWG HTML section 13.2.3).

use std::borrow::Cow;

use encoding_rs::{
    BIG5, Decoder, EUC_JP, EUC_KR, Encoding, GBK, ISO_2022_JP, SHIFT_JIS, UTF_8, UTF_16BE,
    UTF_16LE, WINDOWS_1252,
};

/// Encodings to try for unlabelled pages. Browsers guess the encoding from the text and the user's
/// language.
const GUESSES: [&Encoding; 7] = [UTF_8, WINDOWS_1252, SHIFT_JIS, EUC_JP, GBK, BIG5, EUC_KR];

/// The encoding of a page. `None` if it is not labelled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Charset(Option<&'static Encoding>);

impl Charset {
    pub(super) const UTF_8: Self = Self(Some(UTF_8));

    /// The encoding that a document declares. A declared UTF-16 means UTF-8 (WHATWG HTML section
    /// 13.2.3.2).
    pub(super) fn declared(label: &str) -> Self {
        let charset = Self::named(label);
        let wide = charset.0.is_some_and(|found| [UTF_16LE, UTF_16BE].contains(&found));
        if wide { Self::UTF_8 } else { charset }
    }

    /// The encoding of a label, case-insensitive (Encoding section 4.2). An unknown label counts as
    /// none.
    pub(super) fn named(label: &str) -> Self {
        Self(Encoding::for_label(label.as_bytes()))
    }

    /// The encoding of the first bytes: a byte order mark, or an XML declaration in UTF-16.
    pub(super) fn of_start(bytes: &[u8], xml: bool) -> Option<Self> {
        let marked = Encoding::for_bom(bytes).map(|(encoding, _)| encoding);
        let declared = match bytes.get(..4) {
            Some(b"<\0?\0") if xml => Some(UTF_16LE),
            Some(b"\0<\0?") if xml => Some(UTF_16BE),
            _ => None,
        };
        marked.or(declared).map(|encoding| Self(Some(encoding)))
    }

    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0.or(other.0))
    }

    pub(super) fn is_labelled(self) -> bool {
        self.0.is_some()
    }

    /// Whether ASCII bytes always mean ASCII characters in this encoding. Other pages are converted
    /// to UTF-8.
    pub(super) fn is_ascii_compatible(self) -> bool {
        !self.0.is_some_and(|encoding| {
            [UTF_16LE, UTF_16BE, ISO_2022_JP].contains(&encoding) || !encoding.is_ascii_compatible()
        })
    }

    /// A decoder to UTF-8, without a byte order mark.
    pub(super) fn decoder(self) -> Decoder {
        self.0.unwrap_or(UTF_8).new_decoder_with_bom_removal()
    }

    /// Decodes bytes in the page's encoding, or in each possible encoding if the page is not
    /// labelled.
    pub(super) fn read(self, bytes: &[u8]) -> impl Iterator<Item = Cow<'_, str>> {
        let labelled = self.0.filter(|_| !bytes.is_ascii());
        let guesses: &[&'static Encoding] = match &self.0 {
            _ if bytes.is_ascii() => &GUESSES[..1],
            Some(_) => &[],
            None => &GUESSES,
        };
        let candidates = labelled.into_iter().chain(guesses.iter().copied());
        candidates.map(move |encoding| encoding.decode_without_bom_handling(bytes).0)
    }
}
