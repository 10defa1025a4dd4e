//! Cookie banner: forms without scripts, for undecided visitors.
//!
//! The markup is isolated from the page by a declarative shadow tree (WHATWG HTML section 4.12.3).

use std::collections::HashMap;

use askama::Template;
use bytes::Bytes;
use form_urlencoded::byte_serialize;

use super::claims::honoured_signals;
use super::context::SiteContext;
use super::layout::query;
use crate::config::settings::{BannerSettings, Colours, Position, SiteOperator};
use crate::consent::{CategorySet, Signals};
use crate::locale::{Locale, Texts, fill};

/// Parameters of the banner on one page.
#[derive(Debug, Clone, Copy)]
pub struct BannerContext<'a> {
    /// The visitor's language.
    pub locale: &'a Locale,
    /// The categories granted until the visitor decides.
    pub granted: CategorySet,
    /// The signals of the visitor's browser.
    pub signals: Signals,
    /// Path and query of the page, to return to. `None` for a compressed page, which must not
    /// contain them.
    pub return_to: Option<&'a str>,
    /// Whether the page's policy allows a form that posts to this site.
    pub form: bool,
    /// The kind of style that the page's policy allows.
    pub style: BannerStyle<'a>,
}

/// How the style of the banner is included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BannerStyle<'a> {
    /// In the page, with the nonce that the page's policy requires.
    Inline(Option<&'a str>),
    /// As links to the stylesheets.
    Linked,
}

#[derive(Template)]
#[template(path = "banner.html")]
struct Markup<'a> {
    prefix: &'a str,
    locale: &'a Locale,
    texts: &'a Texts,
    text: String,
    /// The visitor's signals that are honoured, in sentences.
    signals: Vec<String>,
    operator: &'a SiteOperator,
    /// Identifies the texts in the receipt.
    version: Option<String>,
    query: String,
    return_to: &'a str,
    form: bool,
    style: &'a str,
    page_style: &'a str,
}

/// The placeholders in prerendered markup.
const PLACEHOLDERS: [(&str, Then); 3] = [
    (RETURN_TO, Then::Value),
    (STYLE, Then::Style(Sheet::Banner)),
    (PAGE_STYLE, Then::Style(Sheet::Page)),
];
const RETURN_TO: &str = "/CONSENTRY-RETURN-TO";
const STYLE: &str = "CONSENTRY-STYLE";
const PAGE_STYLE: &str = "CONSENTRY-PAGE-STYLE";

/// The banner in every language, prerendered. Only the return path and the kind of style differ
/// between pages.
#[derive(Debug)]
pub(super) struct Banners {
    by_tag: HashMap<String, Vec<Fragment>>,
    /// The categories granted until a visitor decides, as in the markup.
    granted: CategorySet,
    styles: Styles,
}

/// The stylesheets.
#[derive(Debug)]
struct Styles {
    /// In the shadow tree.
    banner: Bytes,
    /// In the page.
    page: Bytes,
}

/// A piece of markup and the placeholder after it.
#[derive(Debug)]
struct Fragment {
    text: String,
    then: Option<Then>,
}

/// The replacement of a placeholder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// The return path as a form field value.
    Value,
    /// The return path as a part of a link's query.
    Query,
    Style(Sheet),
}

/// A stylesheet of the banner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sheet {
    /// For the shadow tree.
    Banner,
    /// For the page: reserves space, and styles the banner of old browsers.
    Page,
}

impl Banners {
    /// Prerenders the banner of a site.
    pub(super) fn new(site: &SiteContext, settings: &BannerSettings) -> Self {
        let granted = site.reader().default;
        let all = site.settings.locales.all().iter().filter_map(|locale| {
            Some((locale.tag.clone(), fragments(site, locale, (granted, NO_SIGNALS), true)?))
        });
        Self { by_tag: all.collect(), granted, styles: styles(settings) }
    }

    /// The markup for a page. Rendered again if the parameters differ from the prerendered ones.
    pub(super) fn markup(&self, site: &SiteContext, of: BannerContext<'_>) -> Option<String> {
        let shown = (of.granted, of.signals);
        let prerendered = of.form && shown == (self.granted, NO_SIGNALS);
        let made = self.by_tag.get(&of.locale.tag).filter(|_| prerendered);
        let fresh = match made {
            Some(_) => Vec::new(),
            None => fragments(site, of.locale, shown, of.form)?,
        };
        let fragments = made.unwrap_or(&fresh);
        let return_to = of.return_to.unwrap_or_default();
        let value = askama::filters::escape(return_to, askama::filters::Html).ok()?.to_string();
        let query: String = byte_serialize(return_to.as_bytes()).collect();
        let styles = [Sheet::Banner, Sheet::Page].map(|sheet| self.style(site, sheet, of.style));
        let [banner_style, page_style] = &styles;
        let then = |part: &Fragment| match part.then {
            Some(Then::Value) => &*value,
            Some(Then::Query) => &*query,
            Some(Then::Style(Sheet::Banner)) => banner_style,
            Some(Then::Style(Sheet::Page)) => page_style,
            None => "",
        };
        let length = fragments.iter().map(|part| part.text.len() + then(part).len()).sum();
        let mut markup = String::with_capacity(length);
        for part in fragments {
            markup.push_str(&part.text);
            markup.push_str(then(part));
        }
        Some(markup)
    }

    /// The stylesheet at `banner.css`, by the query of the request.
    pub(super) fn stylesheet(&self, query: Option<&str>) -> Bytes {
        match query {
            Some(PAGE_QUERY) => self.styles.page.clone(),
            _ => self.styles.banner.clone(),
        }
    }

    /// The element that includes a stylesheet.
    fn style(&self, site: &SiteContext, sheet: Sheet, how: BannerStyle<'_>) -> String {
        let (text, query) = match sheet {
            Sheet::Banner => (&self.styles.banner, String::new()),
            Sheet::Page => (&self.styles.page, format!("?{PAGE_QUERY}")),
        };
        let nonce = match how {
            BannerStyle::Linked => {
                let prefix = &site.settings.prefix;
                return format!("<link rel=\"stylesheet\" href=\"{prefix}banner.css{query}\">");
            }
            BannerStyle::Inline(nonce) => nonce,
        };
        let nonce = nonce.map(|nonce| format!(" nonce=\"{nonce}\"")).unwrap_or_default();
        format!("<style{nonce}>{}</style>", String::from_utf8_lossy(text))
    }
}

/// A browser without signals.
const NO_SIGNALS: Signals = Signals { gpc: false, dnt: false };

/// The query of the stylesheet for the page.
const PAGE_QUERY: &str = "page";

/// Renders the markup with placeholders.
fn fragments(
    site: &SiteContext,
    locale: &Locale,
    shown: (CategorySet, Signals),
    form: bool,
) -> Option<Vec<Fragment>> {
    let markup = markup(site, locale, shown, form)?;
    let encoded: String = byte_serialize(RETURN_TO.as_bytes()).collect();
    let places = PLACEHOLDERS.into_iter().chain([(&*encoded, Then::Query)]);
    let places: Vec<_> = places.collect();
    let mut parts = Vec::new();
    let mut rest = &*markup;
    loop {
        let found = places.iter().filter_map(|(text, then)| Some((rest.find(text)?, text, *then)));
        let Some((at, text, then)) = found.min_by_key(|(at, _, _)| *at) else { break };
        let (before, after) = (rest.get(..at), rest.get(at + text.len()..));
        parts.push(Fragment { text: before.unwrap_or_default().to_owned(), then: Some(then) });
        rest = after.unwrap_or_default();
    }
    parts.push(Fragment { text: rest.to_owned(), then: None });
    Some(parts)
}

/// Renders the markup in ASCII, which is valid in every encoding of the page.
/// `None` if the visitor's signals deny every category, so that nothing is left to decide.
fn markup(
    site: &SiteContext,
    locale: &Locale,
    (granted, signals): (CategorySet, Signals),
    form: bool,
) -> Option<String> {
    let categories = &site.reader().categories;
    let denied = site.reader().signals.denied_by(signals);
    let absent = categories.all().difference(granted).difference(CategorySet::NECESSARY);
    let absent = absent.difference(denied);
    let names = |set| locale.list(categories.names_of(set));
    let texts = &locale.texts;
    let present = granted.difference(CategorySet::NECESSARY);
    if present == CategorySet::EMPTY && absent == CategorySet::EMPTY {
        return None;
    }
    let text = if present == CategorySet::EMPTY {
        fill(&texts.banner_text, &[("categories", &names(absent))])
    } else if absent == CategorySet::EMPTY {
        fill(&texts.banner_text_optout, &[("categories", &names(present))])
    } else {
        let values = [("allowed", &*names(present)), ("categories", &*names(absent))];
        fill(&texts.banner_text_mixed, &values)
    };
    let markup = Markup {
        prefix: &site.settings.prefix,
        locale,
        texts,
        text: text.into_owned(),
        signals: honoured_signals(site, locale, signals),
        operator: &site.settings.operator,
        version: site.texts.field(&locale.tag),
        query: query(&locale.tag, Some(RETURN_TO)),
        return_to: RETURN_TO,
        form,
        style: STYLE,
        page_style: PAGE_STYLE,
    };
    markup.render().ok().map(|markup| ascii(&markup))
}

/// Replaces non-ASCII characters with character references (HTML section 13.1.4).
fn ascii(markup: &str) -> String {
    let mut out = String::with_capacity(markup.len() + markup.len() / 2);
    for letter in markup.chars() {
        if letter.is_ascii() {
            out.push(letter);
        } else {
            out.push_str(&format!("&#{};", u32::from(letter)));
        }
    }
    out
}

/// Maximum height on wide and narrow screens. The page reserves the same space at its end, so that
/// the banner covers no part of it for good.
const HEIGHTS: [&str; 2] = ["max(25vh,220px)", "max(39vh,170px)"];
/// Maximum height of the banner in the corner.
const CORNER_HEIGHT: &str = "360px";

/// The stylesheets with the site's colours and position.
fn styles(banner: &BannerSettings) -> Styles {
    let [wide, narrow] = HEIGHTS;
    let (place, place_narrow, grid, edge, wide) = match banner.position {
        Position::Bottom => ("inset:auto 0 0 0", "inset:auto 0 0 0", "1fr auto", "bottom", wide),
        Position::Top => ("inset:0 0 auto 0", "inset:0 0 auto 0", "1fr auto", "top", wide),
        Position::Corner => (
            "inset:auto 1em 1em auto;max-width:26em;border-radius:.5em",
            "inset:auto 0 0 0;max-width:none;border-radius:0",
            "1fr",
            "bottom",
            CORNER_HEIGHT,
        ),
    };
    // At the top, space cannot be reserved without moving the page.
    let [reserved, reserved_narrow] = match banner.position {
        Position::Top => ["0", "0"],
        Position::Bottom | Position::Corner => [wide, narrow],
    };
    let Colours { background, text, button, button_text } = &banner.colours;
    let colours = |defaults: [&str; 4]| {
        let chosen = [background, text, button, button_text];
        let names = ["background", "text", "button", "button-text"];
        let mut all = Vec::new();
        for ((name, chosen), default) in names.iter().zip(chosen).zip(defaults) {
            let colour = chosen.as_deref().unwrap_or(default);
            all.push(format!("--consentry-{name}:{colour}"));
        }
        all.join(";")
    };
    let light = colours(["#fff", "#1b1b1b", "#0b57a4", "#fff"]);
    let dark = colours(["#1d2024", "#ececec", "#8ec2ff", "#10233a"]);
    let dark = format!("@media(prefers-color-scheme:dark){{section{{{dark}}}}}\n");
    let filled = |sheet: &str| {
        let mut sheet = sheet.to_owned();
        for (name, value) in [
            ("COLOURS", &*light),
            ("DARK", &dark),
            ("PLACE_NARROW", place_narrow),
            ("PLACE", place),
            ("GRID", grid),
            ("EDGE", edge),
            ("RESERVED_NARROW", reserved_narrow),
            ("RESERVED", reserved),
            ("WIDE", wide),
            ("NARROW", narrow),
        ] {
            sheet = sheet.replace(name, value);
        }
        Bytes::from(sheet.replace('\n', ""))
    };
    Styles {
        banner: filled(include_str!("banner.css")),
        page: filled(include_str!("banner_page.css")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_style_has_the_colours_and_position_of_the_site_and_no_placeholders() {
        for position in [Position::Bottom, Position::Top, Position::Corner] {
            let colours = Colours { button: Some("#123456".to_owned()), ..Colours::default() };
            let styles = styles(&BannerSettings { position, colours });
            let [banner, page] = [styles.banner, styles.page]
                .map(|text| String::from_utf8_lossy(&text).into_owned());
            assert_eq!(banner.matches("--consentry-button:#123456").count(), 2);
            for style in [banner, page] {
                let is_placeholder = |word: &str| {
                    word.len() > 3 && word.bytes().all(|byte| byte.is_ascii_uppercase())
                };
                let words = style.split(|letter: char| !letter.is_ascii_alphabetic());
                assert_eq!(words.filter(|word| is_placeholder(word)).count(), 0, "{style}");
                assert_eq!(style.matches('{').count(), style.matches('}').count());
                assert!(!style.contains('<'), "it ends no style element");
            }
        }
    }

    #[test]
    fn letters_beyond_ascii_are_character_references() {
        assert_eq!(ascii("<p>zur\u{fc}ck \u{1f36a}</p>"), "<p>zur&#252;ck &#127850;</p>");
    }
}
