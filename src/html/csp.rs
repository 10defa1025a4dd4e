//! Content Security Policy of a page (W3C Content Security Policy Level 3), as far as response
//! headers declare it. Decides which insertions the page permits.

use http::header::CONTENT_SECURITY_POLICY;

use crate::consent_ui::BannerStyle;
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

    /// The style of the banner: in the page, or else as a stylesheet of this site.
    pub(super) fn banner_style(&self) -> BannerStyle<'_> {
        match self.inline_style() {
            Some(nonce) => BannerStyle::Inline(nonce),
            // Without styles, the banner is still a form at the end of the page.
            None => BannerStyle::Linked,
        }
    }

    /// Whether the policies allow a `style` element, and with which nonce.
    fn inline_style(&self) -> Option<Option<&str>> {
        let mut nonce: Option<&str> = None;
        for text in &self.texts {
            let Some(sources) = directive(text, &STYLES) else { continue };
            let any = |wanted: fn(&str) -> bool| sources.iter().any(|source| wanted(source));
            // A nonce or a hash disables 'unsafe-inline'.
            let strict = any(|source| {
                let source = source.to_ascii_lowercase();
                ["'nonce-", "'sha256-", "'sha384-", "'sha512-"]
                    .iter()
                    .any(|s| source.starts_with(s))
            });
            if !strict && any(|source| source.eq_ignore_ascii_case("'unsafe-inline'")) {
                continue;
            }
            let own = own_nonce(&sources)?;
            if nonce.is_some_and(|other| other != own) {
                return None;
            }
            nonce = Some(own);
        }
        let plain = |nonce: &str| {
            nonce.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'<>&".contains(&byte))
        };
        nonce.is_none_or(plain).then_some(nonce)
    }

    /// The policy of a `<meta>` element.
    pub(super) fn of_text(text: &str) -> Self {
        Self { texts: text.split(',').map(str::to_owned).collect() }
    }

    /// A script of this site.
    pub(super) fn script(&self) -> InsertionPolicy {
        self.load(&["script-src-elem", "script-src", "default-src"])
    }

    /// A form that posts to this site.
    pub(super) fn form(&self) -> bool {
        self.texts.iter().all(|text| {
            let Some(sources) = directive(text, &["form-action"]) else { return true };
            sources.iter().any(|source| is_this_site(source))
        })
    }

    fn load(&self, names: &[&str]) -> InsertionPolicy {
        let mut nonce: Option<&str> = None;
        for text in &self.texts {
            let Some(sources) = directive(text, names) else { continue };
            let strict = sources.iter().any(|s| s.eq_ignore_ascii_case("'strict-dynamic'"));
            if !strict && sources.iter().any(|source| is_this_site(source)) {
                continue;
            }
            match (own_nonce(&sources), nonce) {
                (Some(own), None) => nonce = Some(own),
                // Two policies with different nonces: no element can have both.
                (Some(own), Some(other)) if own == other => {}
                _ => return InsertionPolicy::No,
            }
        }
        nonce.map_or(InsertionPolicy::Yes, |nonce| InsertionPolicy::WithNonce(nonce.to_owned()))
    }
}

/// The directives for styles, in order of precedence.
const STYLES: [&str; 3] = ["style-src-elem", "style-src", "default-src"];

/// The first nonce among these sources.
fn own_nonce<'a>(sources: &[&'a str]) -> Option<&'a str> {
    sources.iter().find_map(|source| {
        let (start, rest) = source.split_at_checked(7)?;
        start.eq_ignore_ascii_case("'nonce-").then(|| rest.strip_suffix('\''))?
    })
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
        let with = |text: &str| InsertionPolicy::WithNonce(text.to_owned());
        let (yes, no) = (InsertionPolicy::Yes, InsertionPolicy::No);
        let (inline, linked) = (BannerStyle::Inline(None), BannerStyle::Linked);
        let nonce = |nonce| BannerStyle::Inline(Some(nonce));
        for (policies, style, script, form) in [
            (&[][..], inline, yes.clone(), true),
            (&["default-src 'self'"], linked, yes.clone(), true),
            (&["default-src 'none'"], linked, no.clone(), true),
            (
                &["default-src 'none'; style-src 'self'; form-action 'none'"],
                linked,
                no.clone(),
                false,
            ),
            (&["style-src 'self' 'Unsafe-Inline'"], inline, yes.clone(), true),
            (&["style-src 'unsafe-inline' 'nonce-a'"], nonce("a"), yes.clone(), true),
            (&["style-src 'unsafe-inline' 'sha256-AA='"], linked, yes.clone(), true),
            (&["style-src-elem 'nonce-a'; style-src 'none'"], nonce("a"), yes.clone(), true),
            (&["style-src 'nonce-a'", "style-src 'unsafe-inline'"], nonce("a"), yes.clone(), true),
            (&["style-src 'nonce-a'", "style-src 'nonce-b'"], linked, yes.clone(), true),
            (&["style-src 'nonce-a', style-src 'self'"], linked, yes.clone(), true),
            (&["style-src 'nonce-\"><b'"], linked, yes.clone(), true),
            (&["script-src 'nonce-abc' 'strict-dynamic' https:"], inline, with("abc"), true),
            (&["Default-Src HTTPS:; SCRIPT-SRC 'Nonce-x'"], linked, with("x"), true),
            (&["script-src 'nonce-a'", "script-src 'nonce-b'"], inline, no.clone(), true),
            (&["script-src 'nonce-a', script-src 'self'"], inline, with("a"), true),
            (
                &["style-src https://cdn.example; form-action https://pay.example"],
                linked,
                yes.clone(),
                false,
            ),
            (
                &["frame-ancestors 'self'; form-action 'self' https://pay.example"],
                inline,
                yes.clone(),
                true,
            ),
        ] {
            let mut headers = HeaderMap::new();
            for policy in policies {
                headers.append(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
            }
            let found = Policies::of(&FieldSection::from_map(&headers));
            assert_eq!(
                (found.banner_style(), found.script(), found.form()),
                (style, script, form),
                "{policies:?}"
            );
        }
    }
}
