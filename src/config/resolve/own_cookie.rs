//! The native consent cookie of a site: its domain and signing keys.

use std::sync::Arc;

use super::defaults::{Ctx, Defaults};
use super::layers::Layers;
use crate::config::document::span;
use crate::config::raw::RawConsent;
use crate::config::settings::HostPattern;
use crate::config::spanned::Spanned;
use crate::consent::{CookieKeys, OwnCookie};
use crate::cookie::registrable_domain;
use crate::http::normalised_host;

/// Resolves the settings of the native consent cookie.
pub(super) fn own_cookie(
    document: Ctx,
    consent: &Layers<'_, RawConsent>,
    hosts: &[HostPattern],
    common: &Defaults,
) -> OwnCookie {
    let domain = consent.get("cookie_domain", |raw| raw.cookie_domain.as_ref());
    let file = consent.get("key_file", |raw| raw.key_file.as_ref());
    OwnCookie {
        domain: domain.and_then(|(key, domain)| cookie_domain(document, key, domain, hosts)),
        keys: file.and_then(|(key, file)| keys(document, key, file, common)).map(Arc::new),
    }
}

/// Reads the key file. An unreadable file is an error, because unsigned cookies would then be accepted.
fn keys(
    document: Ctx,
    key: String,
    file: &Spanned<String>,
    common: &Defaults,
) -> Option<CookieKeys> {
    let path = common.pages.folder.join(file.get_ref());
    let text = document.read_text(&path).map_err(|error| format!("cannot read the file: {error}"));
    let keys = text.and_then(|text| CookieKeys::parse(&text).map_err(|error| error.to_string()));
    keys.map_err(|reason| {
        let message = format!("`{}`: {reason}", path.display());
        let hint = Some("openssl rand -hex 32 > consent.key".to_owned());
        document.problem(Some(span(file)), key, message, hint);
    })
    .ok()
}

/// Validates a cookie domain as browsers do. It must not be an address or a public suffix. Each host of the site
/// must equal the domain or be below it.
fn cookie_domain(
    document: Ctx,
    key: String,
    typed: &Spanned<String>,
    hosts: &[HostPattern],
) -> Option<String> {
    let domain = typed.get_ref().strip_prefix('.').unwrap_or(typed.get_ref());
    let domain = normalised_host(domain).into_owned();
    if registrable_domain(&domain).is_some() {
        let below = format!(".{domain}");
        let outside = hosts.iter().find(|host| match host {
            HostPattern::Any => false,
            HostPattern::Below(suffix) => !suffix.ends_with(&below),
            HostPattern::Exact(host) => *host != domain && !host.ends_with(&below),
        });
        if let Some(host) = outside {
            let message = format!("browsers reject a cookie for `{domain}` from `{host}`");
            document.problem(Some(span(typed)), key, message, None);
        }
        return Some(domain);
    }
    let message = format!("`{}` is not a domain that a cookie can be set for", typed.get_ref());
    let hint = Some("the registrable domain or one below it, such as \"example.com\"".to_owned());
    document.problem(Some(span(typed)), key, message, hint);
    None
}
