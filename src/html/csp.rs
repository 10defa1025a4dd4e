//! Content Security Policy of a page (W3C Content Security Policy Level 3), as far as response
//! headers declare it. Decides which insertions the page permits.

use http::header::CONTENT_SECURITY_POLICY;

use crate::http::{FieldSection, Fields};

/// The policies of a response. A load must be allowed by all of them.
#[derive(Debug, Default)]
pub(super) struct Policies {
    texts: Vec<String>,
}

/// Whether the page may load an inserted resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum InsertionPolicy {
    /// Without a nonce.
    Yes,
    /// With this nonce.
    WithNonce(String),
    /// Not allowed.
    No,
}

impl Policies {
    pub(super) fn of(fields: &FieldSection) -> Self {
        let lines = fields.values(&CONTENT_SECURITY_POLICY);
        let texts = lines.filter_map(|line| std::str::from_utf8(line).ok());
        Self { texts: texts.flat_map(|text| text.split(',')).map(str::to_owned).collect() }
    }

    /// A stylesheet of this site.
    pub(super) fn style(&self) -> InsertionPolicy {
        self.load(&["style-src-elem", "style-src", "default-src"], false)
    }

    /// A script of this site.
    pub(super) fn script(&self) -> InsertionPolicy {
        self.load(&["script-src-elem", "script-src", "default-src"], true)
    }

    /// A form that posts to this site.
    pub(super) fn form(&self) -> bool {
        self.texts.iter().all(|text| {
            let Some(sources) = directive(text, &["form-action"]) else { return true };
            sources.iter().any(|source| is_this_site(source))
        })
    }

    fn load(&self, names: &[&str], script: bool) -> InsertionPolicy {
        let mut nonce: Option<&str> = None;
        for text in &self.texts {
            let Some(sources) = directive(text, names) else { continue };
            let strict =
                script && sources.iter().any(|s| s.eq_ignore_ascii_case("'strict-dynamic'"));
            if !strict && sources.iter().any(|source| is_this_site(source)) {
                continue;
            }
            let own = sources.iter().find_map(|source| {
                let (start, rest) = source.split_at_checked(7)?;
                start.eq_ignore_ascii_case("'nonce-").then(|| rest.strip_suffix('\''))?
            });
            match (own, nonce) {
                (Some(own), None) => nonce = Some(own),
                // Two policies with different nonces: no element can have both.
                (Some(own), Some(other)) if own == other => {}
                _ => return InsertionPolicy::No,
            }
        }
        nonce.map_or(InsertionPolicy::Yes, |nonce| InsertionPolicy::WithNonce(nonce.to_owned()))
    }
}

/// The sources of the first of these directives that the policy contains.
fn directive<'a>(policy: &'a str, names: &[&str]) -> Option<Vec<&'a str>> {
    names.iter().find_map(|name| {
        policy.split(';').find_map(|directive| {
            let mut words = directive.split_ascii_whitespace();
            words.next()?.eq_ignore_ascii_case(name).then(|| words.collect())
        })
    })
}

/// Whether a source certainly includes this site. Hosts are not compared, because a proxy in front
/// may use another name.
fn is_this_site(source: &str) -> bool {
    let word = source.to_ascii_lowercase();
    matches!(word.as_str(), "'self'" | "*" | "https:" | "http:")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue};

    #[test]
    fn all_content_security_policies_must_allow_the_insertion() {
        let nonce = |text: &str| InsertionPolicy::WithNonce(text.to_owned());
        for (policies, style, script, form) in [
            (&[][..], InsertionPolicy::Yes, InsertionPolicy::Yes, true),
            (&["default-src 'self'"], InsertionPolicy::Yes, InsertionPolicy::Yes, true),
            (&["default-src 'none'"], InsertionPolicy::No, InsertionPolicy::No, true),
            (
                &["default-src 'none'; style-src 'self'; form-action 'none'"],
                InsertionPolicy::Yes,
                InsertionPolicy::No,
                false,
            ),
            (
                &["script-src 'nonce-abc' 'strict-dynamic' https:"],
                InsertionPolicy::Yes,
                nonce("abc"),
                true,
            ),
            (&["Default-Src HTTPS:; SCRIPT-SRC 'Nonce-x'"], InsertionPolicy::Yes, nonce("x"), true),
            (
                &["script-src 'nonce-a'", "script-src 'nonce-b'"],
                InsertionPolicy::Yes,
                InsertionPolicy::No,
                true,
            ),
            (&["script-src 'nonce-a', script-src 'self'"], InsertionPolicy::Yes, nonce("a"), true),
            (
                &["style-src https://cdn.example; form-action https://pay.example"],
                InsertionPolicy::No,
                InsertionPolicy::Yes,
                false,
            ),
            (
                &["frame-ancestors 'self'; form-action 'self' https://pay.example"],
                InsertionPolicy::Yes,
                InsertionPolicy::Yes,
                true,
            ),
        ] {
            let mut headers = HeaderMap::new();
            for policy in policies {
                headers.append(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
            }
            let found = Policies::of(&FieldSection::from_map(&headers));
            assert_eq!(
                (found.style(), found.script(), found.form()),
                (style, script, form),
                "{policies:?}"
            );
        }
    }
}
