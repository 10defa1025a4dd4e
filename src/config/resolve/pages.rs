//! Pages and notices for visitors: preference centre, banner, languages.

use std::sync::Arc;

use super::defaults::Defaults;
use crate::config::document::Ctx;
use crate::config::locales::locales;
use crate::config::raw::{RawBanner, RawCentre, RawSite};
use crate::config::settings::{
    BannerSettings, CentreSettings, Colours, Contact, FilterSettings, PageSettings, SiteOperator,
};
use crate::config::spanned::Text;

/// Resolves a site's own pages and its HTML rewriting.
pub(super) fn pages(
    document: Ctx,
    raw: &RawSite,
    common: &Defaults,
) -> (CentreSettings, PageSettings) {
    let RawSite { centre, consent, banner, page, .. } = raw;
    if centre.prefix != RawCentre::default().prefix {
        document.wrong(&centre.prefix, "is global: set it in [centre]", None);
    }
    let of_centre = |centre: &RawCentre| (centre.locales.clone(), centre.language.clone());
    let locales = if of_centre(centre) == of_centre(&common.centre) {
        Arc::clone(&common.locales)
    } else {
        Arc::new(locales(document, centre, &common.folder))
    };
    let mut earlier_notices: Vec<_> = centre.earlier_notices.iter().map(|day| day.0).collect();
    earlier_notices.sort();
    earlier_notices.reverse();
    let settings = CentreSettings {
        prefix: common.prefix.clone(),
        gpc_json: consent.gpc_json,
        api: centre.api,
        bridge: centre.bridge,
        locales,
        notice_date: consent.notice_date.map(|day| day.0),
        earlier_notices,
        operator: operator(document, centre),
        on_withdrawal: common.on_withdrawal,
    };
    let banner = banner.enabled.then(|| self::banner(document, banner));
    (settings, PageSettings { banner, guard: page.guard })
}

fn operator(document: Ctx, raw: &RawCentre) -> SiteOperator {
    let mut text = |typed: &Option<Text>| {
        let typed = typed.as_ref()?;
        let text = typed.get_ref().trim();
        if text.is_empty() || text.chars().any(char::is_control) {
            document.is_not(typed, "a line of text", None);
        }
        Some(text.to_owned())
    };
    let (controller, contact) = (text(&raw.controller), text(&raw.contact));
    let mut link = |typed: &Option<Text>| {
        let typed = typed.as_ref()?;
        let link = typed.get_ref();
        if !is_link(link) {
            let hint = Some("such as \"https://example.com/privacy\" or \"/privacy\"");
            document.is_not(typed, "an http or https URL, or a path of the site", hint);
        }
        Some(link.clone())
    };
    SiteOperator {
        controller,
        contact: contact.map(contact_of),
        privacy_policy: link(&raw.privacy_policy),
        imprint: link(&raw.imprint),
        consent_tool: link(&raw.consent_tool),
    }
}

/// A contact with its link: an e-mail address, a URL, or a path of the site.
fn contact_of(text: String) -> Contact {
    let link = if is_link(&text) {
        Some(text.clone())
    } else {
        is_email(&text).then(|| format!("mailto:{text}"))
    };
    Contact { text, link }
}

/// Whether a text is an `http` or `https` URL, or a path of the site. Browsers treat `//` and `/\` as the start of a host.
fn is_link(text: &str) -> bool {
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'<>\\".contains(&byte));
    let is_path = text.starts_with('/') && !text.starts_with("//");
    let is_url = || {
        let url = url::Url::parse(text).ok();
        url.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
    };
    plain && (is_path || is_url())
}

/// Whether a text is an e-mail address whose characters need no encoding in a `mailto` URL (RFC 6068).
fn is_email(text: &str) -> bool {
    let plain = |part: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!*+-._~".contains(&byte);
        !part.is_empty() && part.bytes().all(plain)
    };
    text.split_once('@').is_some_and(|(local, domain)| plain(local) && plain(domain))
}

fn banner(document: Ctx, raw: &RawBanner) -> BannerSettings {
    let mut colours = Colours::default();
    for (name, typed) in &raw.colours {
        let at = match name.as_str() {
            "background" => &mut colours.background,
            "text" => &mut colours.text,
            "button" => &mut colours.button,
            "button_text" => &mut colours.button_text,
            _ => {
                let hint = "the keys here are background, text, button, button_text";
                document.wrong(typed, "unknown key", Some(hint));
                continue;
            }
        };
        let hex = typed.get_ref().strip_prefix('#').unwrap_or_default();
        if matches!(hex.len(), 3 | 6) && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            *at = Some(typed.get_ref().clone());
        } else {
            document.is_not(typed, "a colour", Some("such as \"#1a5fb4\""));
        }
    }
    BannerSettings { position: raw.position, colours }
}

/// Reports a banner whose answer no source reads: it would be shown on every page.
pub(super) fn has_banner_source(
    document: Ctx,
    key: &str,
    page: &PageSettings,
    filter: &FilterSettings,
) {
    if page.banner.is_some() && !filter.reader.reads_own_cookie() {
        let message = "enabled, but no source in consent.sources reads its cookie";
        let hint = "add \"consentry\" to consent.sources, or disable the banner";
        document.problem(None, format!("{key}banner.enabled"), message, Some(hint));
    }
}

/// Parses the path prefix of consentry's own pages: a path of characters that need no encoding.
pub(super) fn prefix(document: Ctx, typed: &Text) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/.-_~".contains(&byte);
    let text = typed.get_ref();
    let folder = text.len() > 2 && text.starts_with('/') && text.ends_with('/');
    let dots = text.split('/').any(|part| part == "." || part == "..");
    if !folder || dots || text.contains("//") || !text.bytes().all(plain) {
        let expected = "a folder of the site, of letters, digits and -._~";
        document.is_not(typed, expected, Some("prefix = \"/.consentry/\""));
    }
    text.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_web_addresses_or_paths_of_the_site() {
        for (text, expected) in [
            ("https://example.com/privacy?a=1#b", true),
            ("http://example.com", true),
            ("/privacy", true),
            ("/", true),
            ("privacy", false),
            ("//example.com", false),
            ("/\\example.com", false),
            ("https://", false),
            ("javascript:alert(1)", false),
            ("data:text/html,x", false),
            ("https://example.com/a b", false),
            ("https://example.com/\"><b>", false),
            ("", false),
        ] {
            assert_eq!(is_link(text), expected, "{text}");
        }
    }

    #[test]
    fn a_contact_is_linked_if_it_is_an_address_and_shown_as_text_otherwise() {
        for (text, link) in [
            ("privacy@shop.example", Some("mailto:privacy@shop.example")),
            ("https://shop.example/contact", Some("https://shop.example/contact")),
            ("/contact", Some("/contact")),
            ("+49 30 1234567", None),
            ("a@b@c", None),
            ("a@b?bcc=c", None),
            ("@shop.example", None),
        ] {
            assert_eq!(contact_of(text.to_owned()).link.as_deref(), link, "{text}");
        }
    }
}
