//! The native consent cookie of a site: its domain and signing keys.

use std::path::Path;
use std::sync::Arc;

use crate::config::document::Ctx;
use crate::config::raw::RawConsent;
use crate::config::settings::HostPattern;
use crate::config::spanned::Text;
use crate::consent::{CookieKeys, OwnCookie};
use crate::cookie::registrable_domain;
use crate::http::normalised_host;

/// Resolves the settings of the native consent cookie.
pub(super) fn own_cookie(
    document: Ctx,
    consent: &RawConsent,
    hosts: &[HostPattern],
    folder: &Path,
) -> OwnCookie {
    let domain = consent.cookie_domain.as_ref();
    let file = consent.key_file.as_ref();
    OwnCookie {
        domain: domain.and_then(|domain| cookie_domain(document, domain, hosts)),
        keys: file.and_then(|file| keys(document, file, folder)).map(Arc::new),
    }
}

/// Reads the key file. An unreadable file is an error, because unsigned cookies would then be accepted.
fn keys(document: Ctx, file: &Text, folder: &Path) -> Option<CookieKeys> {
    let path = folder.join(file.get_ref());
    let text = document.read_text(&path);
    let keys = text.and_then(|text| CookieKeys::parse(&text).map_err(|error| error.to_string()));
    let report = |reason| {
        let hint = Some("openssl rand -hex 32 > consent.key");
        document.wrong(file, format!("`{}`: {reason}", path.display()), hint);
    };
    keys.map_err(report).ok()
}

/// Validates a cookie domain as browsers do. It must not be an address or a public suffix. Each host of the site
/// must equal the domain or be below it.
fn cookie_domain(document: Ctx, typed: &Text, hosts: &[HostPattern]) -> Option<String> {
    let domain = typed.get_ref().strip_prefix('.').unwrap_or(typed.get_ref());
    let domain = normalised_host(domain).into_owned();
    if registrable_domain(&domain).is_none() {
        let hint = Some("the registrable domain or one below it, such as \"example.com\"");
        document.is_not(typed, "a domain that a cookie can be set for", hint);
        return None;
    }
    let below = format!(".{domain}");
    let outside = hosts.iter().find(|host| match host {
        HostPattern::Any => false,
        HostPattern::Below(suffix) => !suffix.ends_with(&below),
        HostPattern::Exact(host) => *host != domain && !host.ends_with(&below),
    });
    if let Some(host) = outside {
        let message = format!("browsers refuse a cookie for `{domain}` from `{host}`");
        document.wrong(typed, message, None);
    }
    Some(domain)
}
