//! Elements that are open at the end of the body. They are closed before the banner, which would
//! otherwise be inside an element that may be hidden.

use crate::html::tag::Name;

/// Maximum number of elements to track. Deeper elements stay open.
const MAX: usize = 512;

/// Elements without content, those around the banner, and those that are closed elsewhere. `</p>`
/// without an open `p` would create one.
const IGNORED: &[&[u8]] = &[
    b"html",
    b"head",
    b"body",
    b"p",
    b"area",
    b"base",
    b"basefont",
    b"bgsound",
    b"br",
    b"col",
    b"embed",
    b"frame",
    b"hr",
    b"image",
    b"img",
    b"input",
    b"keygen",
    b"link",
    b"meta",
    b"param",
    b"source",
    b"template",
    b"track",
    b"wbr",
    b"script",
    b"style",
    b"textarea",
    b"title",
    b"xmp",
    b"iframe",
    b"noembed",
    b"noframes",
    b"noscript",
    b"plaintext",
];

/// The names of the open elements. An approximation: a superfluous end tag has no effect.
#[derive(Debug, Default)]
pub(super) struct OpenElements(Vec<Name>);

impl OpenElements {
    pub(super) fn start(&mut self, name: &[u8]) {
        if self.0.len() < MAX && !IGNORED.contains(&name) {
            self.0.push(Name::new(name));
        }
    }

    pub(super) fn end(&mut self, name: &[u8]) {
        if let Some(at) = self.0.iter().rposition(|open| **open == *name) {
            self.0.truncate(at);
        }
    }

    /// Writes the missing end tags.
    pub(super) fn close(&mut self, out: &mut Vec<u8>) {
        for name in std::mem::take(&mut self.0).iter().rev() {
            // A name over the limit is truncated, and a name with other bytes ends at the first
            // `/`: such elements stay open.
            if name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-') {
                out.extend_from_slice(b"</");
                out.extend_from_slice(name);
                out.push(b'>');
            }
        }
    }
}
