//! Pages and notices for visitors: preference centre, banner, languages.

use std::sync::Arc;

use super::defaults::Defaults;
use crate::config::document::Ctx;
use crate::config::locales::locales;
use crate::config::raw::{RawBanner, RawCentre, RawSite};
use crate::config::settings::{
    BannerSettings, CentreSettings, Colours, FilterSettings, PageSettings,
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
        document.wrong(&centre.prefix, "is the same for all sites: it belongs in [centre]", None);
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
        earlier_notices,
        on_withdrawal: common.on_withdrawal,
    };
    let banner = banner.enabled.then(|| self::banner(document, banner));
    (settings, PageSettings { banner, guard: page.guard })
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
pub(super) fn banner_is_heard(
    document: Ctx,
    key: &str,
    page: &PageSettings,
    filter: &FilterSettings,
) {
    if page.banner.is_some() && !filter.reader.reads_own_cookie() {
        let message = "asks, and none of consent.sources reads the answer";
        let hint =
            "add \"consentry\" to consent.sources, or leave the banner to the site's own tool";
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
