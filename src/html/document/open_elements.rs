//! Elements that are open at the end of the body. They are closed before the banner, which would
//! otherwise be inside an element that may be hidden.

use crate::html::tag::Name;
use crate::html::tree::is_void;

/// Maximum number of elements to track. Deeper elements stay open.
const MAX: usize = 512;

/// Elements without content, those around the banner, and those that are closed elsewhere. `</p>`
/// without an open `p` would create one.
fn is_ignored(name: &[u8]) -> bool {
    is_void(name)
        || matches!(
            name,
            b"html"
                | b"head"
                | b"body"
                | b"p"
                | b"template"
                | b"script"
                | b"style"
                | b"textarea"
                | b"title"
                | b"xmp"
                | b"iframe"
                | b"noembed"
                | b"noframes"
                | b"noscript"
                | b"plaintext"
        )
}

/// The names of the open elements. An approximation: a superfluous end tag has no effect.
#[derive(Debug, Default)]
pub(super) struct OpenElements(Vec<Name>);

impl OpenElements {
    pub(super) fn start(&mut self, name: &[u8]) {
        if self.0.len() < MAX && !is_ignored(name) {
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
