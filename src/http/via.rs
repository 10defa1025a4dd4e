//! `Via` (RFC 9110 section 7.6.3) and `CDN-Loop` (RFC 8586): adding this hop, and loop detection.
//!
//! All instances have the same name in `Via`, so `Via` alone cannot distinguish a loop from two
//! instances in a row. In `CDN-Loop` each instance adds its own ID.

use http::Version;
use http::header::{HeaderName, VIA};

use super::field_list::{append, members};
use super::fields::{FieldSection, Fields};
use super::parameters::without_parameters;

const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");
/// The name of every instance in `Via` and `CDN-Loop`.
const NAME: &[u8] = b"consentry";

/// The identity of this instance in `Via` and `CDN-Loop`.
#[derive(Debug, Clone)]
pub(crate) struct Via {
    /// The member of `CDN-Loop`: `consentry;id=…`.
    own: Box<[u8]>,
}

impl Via {
    /// Creates an instance identity from a unique ID.
    pub(crate) fn new(id: u64) -> Self {
        Self { own: format!("consentry;id={id:016x}").into_bytes().into() }
    }

    /// Adds this instance to a request received over this HTTP version.
    pub(super) fn add(&self, fields: &mut FieldSection, version: Version) {
        let via = match version {
            Version::HTTP_10 => "1.0 consentry",
            Version::HTTP_2 => "2.0 consentry",
            _ => "1.1 consentry",
        };
        append(fields, &VIA, via.as_bytes());
        append(fields, &CDN_LOOP, &self.own);
    }

    /// Whether a request has already passed this instance.
    ///
    /// True if `CDN-Loop` has the instance's ID. Also true if `Via` lists consentry more often than
    /// `CDN-Loop`, because another hop has then removed IDs.
    pub(crate) fn has_passed(&self, fields: &impl Fields) -> bool {
        let mut others = 0;
        for member in members(fields, &CDN_LOOP) {
            if *member == *self.own {
                return true;
            }
            others += usize::from(without_parameters(member).eq_ignore_ascii_case(NAME));
        }
        let passages = members(fields, &VIA).filter(|member| {
            let words = member.split(|byte| matches!(byte, b' ' | b'\t'));
            let received_by = words.filter(|word| !word.is_empty()).nth(1);
            received_by.is_some_and(|name| name.eq_ignore_ascii_case(NAME))
        });
        passages.count() > others
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> FieldSection {
        FieldSection::from_lines(fields)
    }

    #[test]
    fn an_own_via_entry_is_recognised_in_every_form() {
        let via = Via::new(1);
        for (values, expected) in [
            (&["1.1 consentry"][..], true),
            (&["2.0 Consentry"], true),
            (&["HTTP/1.1 consentry (comment)"], true),
            (&["1.0 edge,1.1\tconsentry , 1.1 cdn"], true),
            (&["1.1 edge", "1.1  consentry"], true),
            (&["1.1 edge"], false),
            (&["1.1 consentry-2"], false),
            (&["1.1 consentry:80"], false),
            (&["1.1 edge (consentry)"], false),
            (&["consentry"], false),
            (&["", ", ,"], false),
            (&[], false),
        ] {
            let fields: Vec<_> = values.iter().map(|value| ("via", *value)).collect();
            assert_eq!(via.has_passed(&headers(&fields)), expected, "{values:?}");
        }
    }

    #[test]
    fn only_the_own_instance_id_is_a_loop() {
        let (one, two, three) = (Via::new(1), Via::new(2), Via::new(3));
        let mut request = headers(&[("via", "1.1 edge"), ("cdn-loop", "edge")]);
        for instance in [&one, &two, &three] {
            assert!(!instance.has_passed(&request));
            instance.add(&mut request, Version::HTTP_11);
        }
        let passages = "1.1 edge, 1.1 consentry, 1.1 consentry, 1.1 consentry";
        assert_eq!(request.texts("via"), [passages]);
        for instance in [&one, &two, &three] {
            assert!(instance.has_passed(&request));
        }
        assert!(!Via::new(4).has_passed(&request));
        // Another hop may remove either field.
        let mut without = request.clone();
        without.remove(&VIA);
        assert!(two.has_passed(&without));
        request.remove(&CDN_LOOP);
        assert!(Via::new(4).has_passed(&request));
    }
}
