//! Pages and notices for visitors: preference centre, banner, languages.

use std::path::Path;
use std::sync::Arc;

use time::Date;

use super::date::calendar_date;
use super::defaults::{Ctx, Defaults, PageDefaults};
use super::layers::Layers;
use crate::config::document::span;
use crate::config::locales::locales;
use crate::config::raw::{RawBanner, RawCentre, RawPage, RawSite, RawWithdrawal};
use crate::config::settings::{
    BannerSettings, CentreSettings, Colours, FilterSettings, OnWithdrawal, PageSettings, Position,
};
use crate::config::spanned::Spanned;

/// Resolves the top-level settings, which are the defaults of every site.
pub(super) fn common(
    document: Ctx,
    (mut centre, banner, page): (RawCentre, RawBanner, RawPage),
    on_withdrawal: OnWithdrawal,
    folder: &Path,
) -> PageDefaults {
    let prefix = prefix(document, centre.prefix.take());
    let from = centre.locales.as_ref().map(|typed| (typed, folder));
    let locales = Arc::new(locales(document, "centre.", from, centre.language.as_ref()));
    PageDefaults { prefix, centre, banner, page, on_withdrawal, locales, folder: folder.to_owned() }
}

/// Resolves what is cleared on withdrawal. Default: cookies.
pub(super) fn on_withdrawal(typed: Option<&[RawWithdrawal]>) -> OnWithdrawal {
    let typed = typed.unwrap_or(&[RawWithdrawal::Cookies]);
    OnWithdrawal {
        cookies: typed.contains(&RawWithdrawal::Cookies),
        storage: typed.contains(&RawWithdrawal::Storage),
    }
}

/// Resolves a site's own pages and its HTML rewriting. `key` is the path of the site, including the trailing dot.
pub(super) fn pages(
    document: Ctx,
    key: &str,
    raw: &RawSite,
    common: &Defaults,
) -> (CentreSettings, PageSettings) {
    let all = &common.pages;
    let consent = Layers::new("consent", key, &raw.consent, &common.consent);
    let centre = Layers::new("centre", key, &raw.centre, &all.centre);
    let page = Layers::new("page", key, &raw.page, &all.page);
    let banner = Layers::new("banner", key, &raw.banner, &all.banner);
    if let Some(prefix) = &raw.centre.prefix {
        let message = "is global: set it in [centre]".to_owned();
        document.problem(Some(span(prefix)), format!("{key}centre.prefix"), message, None);
    }
    let locales = if raw.centre.locales.is_some() || raw.centre.language.is_some() {
        let folder = centre.get("locales", |raw| raw.locales.as_ref());
        let folder = folder.map(|(_, typed)| (typed, all.folder.as_path()));
        let language = centre.get("language", |raw| raw.language.as_ref());
        let language = language.map(|(_, language)| language);
        Arc::new(locales(document, &format!("{key}centre."), folder, language))
    } else {
        Arc::clone(&all.locales)
    };
    let (earlier_key, earlier) =
        centre.cloned("earlier_notices", |raw| raw.earlier_notices.as_ref());
    let mut earlier_notices: Vec<Date> = earlier
        .iter()
        .flatten()
        .filter_map(|date| calendar_date(document, earlier_key.clone(), date))
        .collect();
    earlier_notices.sort();
    earlier_notices.reverse();
    let centre = CentreSettings {
        prefix: all.prefix.clone(),
        gpc_json: consent.copied(|raw| raw.gpc_json).unwrap_or(true),
        api: centre.copied(|raw| raw.api).unwrap_or(false),
        bridge: centre.copied(|raw| raw.bridge).unwrap_or(false),
        locales,
        earlier_notices,
        on_withdrawal: all.on_withdrawal,
    };
    let enabled = banner.copied(|raw| raw.enabled).unwrap_or(false);
    let page = PageSettings {
        banner: enabled.then(|| self::banner(document, &banner)),
        guard: page.copied(|raw| raw.guard).unwrap_or(false),
    };
    (centre, page)
}

fn banner(document: Ctx, banner: &Layers<'_, RawBanner>) -> BannerSettings {
    let mut colours = Colours::default();
    for (name, (key, typed)) in banner.entries("colours", |raw| &raw.colours) {
        let at = match name {
            "background" => &mut colours.background,
            "text" => &mut colours.text,
            "button" => &mut colours.button,
            "button_text" => &mut colours.button_text,
            _ => {
                let hint = "the keys here are background, text, button, button_text".to_owned();
                document.problem(Some(span(typed)), key, "unknown key".to_owned(), Some(hint));
                continue;
            }
        };
        let hex = typed.get_ref().strip_prefix('#').unwrap_or_default();
        if matches!(hex.len(), 3 | 6) && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            *at = Some(typed.get_ref().clone());
        } else {
            let message = format!("`{}` is not a colour", typed.get_ref());
            let hint = Some("such as \"#1a5fb4\"".to_owned());
            document.problem(Some(span(typed)), key, message, hint);
        }
    }
    let position = banner.copied(|raw| raw.position).unwrap_or(Position::Bottom);
    BannerSettings { position, colours }
}

/// Reports a banner whose answer no source reads: it would be shown on every page.
pub(super) fn has_banner_source(
    document: Ctx,
    key: &str,
    page: &PageSettings,
    filter: &FilterSettings,
) {
    if page.banner.is_some() && !filter.reader.reads_own_cookie() {
        let message = "enabled, but no source in consent.sources reads its cookie".to_owned();
        let hint = Some("add \"consentry\" to consent.sources, or disable the banner".to_owned());
        document.problem(None, format!("{key}banner.enabled"), message, hint);
    }
}

/// Parses the path prefix of consentry's own pages: a path of characters that need no encoding.
fn prefix(document: Ctx, typed: Option<Spanned<String>>) -> String {
    let default = "/.consentry/".to_owned();
    let Some(typed) = typed else { return default };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/.-_~".contains(&byte);
    let text = typed.get_ref();
    let folder = text.len() > 2 && text.starts_with('/') && text.ends_with('/');
    let dots = text.split('/').any(|part| part == "." || part == "..");
    if folder && !dots && !text.contains("//") && text.bytes().all(plain) {
        return typed.into_inner();
    }
    let message = format!("`{text}` is not a path prefix of letters, digits and -._~");
    let hint = Some("prefix = \"/.consentry/\"".to_owned());
    document.problem(Some(span(&typed)), "centre.prefix".to_owned(), message, hint);
    default
}
