//! Cookie banner: a form without scripts, for undecided visitors.

use std::borrow::Cow;
use std::collections::HashMap;

use askama::Template;
use form_urlencoded::byte_serialize;

use super::context::SiteContext;
use super::layout::query;
use crate::config::settings::{BannerSettings, Colours, Position};
use crate::consent::CategorySet;
use crate::locale::{Locale, Texts, fill};

/// Parameters of the banner on one page.
#[derive(Debug, Clone, Copy)]
pub struct BannerContext<'a> {
    /// The visitor's language.
    pub locale: &'a Locale,
    /// The categories granted until the visitor decides.
    pub granted: CategorySet,
    /// Path and query of the page, to return to. `None` for a compressed page, which must not
    /// contain them.
    pub return_to: Option<&'a str>,
    /// Whether the page's policy allows a form that posts to this site.
    pub form: bool,
    /// The nonce that the page's policy requires for a stylesheet.
    pub nonce: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "banner.html")]
struct Markup<'a> {
    prefix: &'a str,
    locale: &'a Locale,
    texts: &'a Texts,
    text: String,
    /// Identifies the texts in the receipt.
    version: Option<String>,
    query: String,
    return_to: Option<&'a str>,
    form: bool,
    nonce: Option<&'a str>,
}

/// Placeholder of the return path in prerendered markup.
const RETURN_TO: &str = "/CONSENTRY-RETURN-TO";

/// The banner in every language, prerendered. Only the return path differs between pages.
#[derive(Debug)]
pub(super) struct Banners {
    by_tag: HashMap<String, RenderedBanner>,
    /// The categories granted until a visitor decides, as in the markup.
    granted: CategorySet,
}

/// The prerendered banner in one language.
#[derive(Debug)]
struct RenderedBanner {
    /// Markup without a return path.
    whole: String,
    /// Markup with a return path.
    parts: Vec<Fragment>,
}

/// A piece of markup and the placeholder after it.
#[derive(Debug)]
struct Fragment {
    text: String,
    then: Option<ReturnTo>,
}

/// The encoding of the return path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReturnTo {
    /// A form field value.
    Value,
    /// Part of a link's query.
    Query,
}

impl Banners {
    /// Prerenders the banner of a site.
    pub(super) fn new(site: &SiteContext) -> Self {
        let granted = site.reader().default;
        let all = site.settings.locales.all().iter().filter_map(|locale| {
            let of = BannerContext { locale, granted, return_to: None, form: true, nonce: None };
            let whole = markup(site, of)?;
            let parts = parts(&markup(site, BannerContext { return_to: Some(RETURN_TO), ..of })?);
            Some((locale.tag.clone(), RenderedBanner { whole, parts }))
        });
        Self { by_tag: all.collect(), granted }
    }

    /// The markup for a page. Rendered again if the parameters differ from the prerendered ones.
    pub(super) fn markup(&self, site: &SiteContext, of: BannerContext<'_>) -> Option<String> {
        let made = self
            .by_tag
            .get(&of.locale.tag)
            .filter(|_| of.form && of.nonce.is_none() && of.granted == self.granted);
        let Some(RenderedBanner { whole, parts }) = made else { return markup(site, of) };
        let Some(return_to) = of.return_to else { return Some(whole.clone()) };
        let special = |byte: u8| matches!(byte, b'&' | b'<' | b'>' | b'"' | b'\'');
        let value = if return_to.bytes().any(special) {
            let escaped = askama::filters::escape(return_to, askama::filters::Html).ok()?;
            Cow::Owned(escaped.to_string())
        } else {
            Cow::Borrowed(return_to)
        };
        let mut query = String::with_capacity(3 * return_to.len());
        query.extend(byte_serialize(return_to.as_bytes()));
        let length: usize = parts.iter().map(|part| part.text.len() + query.len()).sum();
        let mut markup = String::with_capacity(length);
        for part in parts {
            markup.push_str(&part.text);
            match part.then {
                Some(ReturnTo::Value) => markup.push_str(&value),
                Some(ReturnTo::Query) => markup.push_str(&query),
                None => {}
            }
        }
        Some(markup)
    }
}

/// Splits markup at the placeholders.
fn parts(markup: &str) -> Vec<Fragment> {
    let encoded: String = byte_serialize(RETURN_TO.as_bytes()).collect();
    let mut parts = Vec::new();
    let mut rest = markup;
    loop {
        let places = [(RETURN_TO, ReturnTo::Value), (&encoded, ReturnTo::Query)];
        let next =
            places.iter().filter_map(|(text, then)| Some((rest.find(text)?, text.len(), *then)));
        let Some((at, length, then)) = next.min_by_key(|(at, _, _)| *at) else { break };
        let (text, after) = (rest.get(..at), rest.get(at + length..));
        parts.push(Fragment { text: text.unwrap_or_default().to_owned(), then: Some(then) });
        rest = after.unwrap_or_default();
    }
    parts.push(Fragment { text: rest.to_owned(), then: None });
    parts
}

/// Renders the markup in ASCII, which is valid in every encoding of the page.
fn markup(site: &SiteContext, of: BannerContext<'_>) -> Option<String> {
    let categories = &site.reader().categories;
    let present = of.granted.difference(CategorySet::NECESSARY);
    let absent = categories.all().difference(of.granted).difference(CategorySet::NECESSARY);
    let names = |set| of.locale.list(categories.names_of(set));
    let texts = &of.locale.texts;
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
        locale: of.locale,
        texts,
        text: text.into_owned(),
        version: site.texts.field(&of.locale.tag),
        query: query(&of.locale.tag, of.return_to),
        return_to: of.return_to,
        form: of.form,
        nonce: of.nonce,
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

/// The stylesheet with the site's colours and position.
pub(super) fn style(banner: &BannerSettings) -> String {
    let position = match banner.position {
        Position::Bottom => "inset:auto 0 0 0",
        Position::Top => "inset:0 0 auto 0",
        Position::Corner => {
            "inset:auto 1rem 1rem auto;max-width:min(26rem,calc(100% - 2rem));border-radius:.5rem"
        }
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
    let dark = colours(["#17181a", "#ececec", "#8ec2ff", "#10233a"]);
    let dark = format!("@media(prefers-color-scheme:dark){{.consentry-banner{{{dark}}}}}\n");
    include_str!("banner.css")
        .replace("COLOURS", &light)
        .replace("PLACE", position)
        .replace("DARK", &dark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_style_has_the_colours_and_position_of_the_site_and_no_placeholders() {
        for position in [Position::Bottom, Position::Top, Position::Corner] {
            let colours = Colours { button: Some("#123456".to_owned()), ..Colours::default() };
            let style = style(&BannerSettings { position, colours });
            assert_eq!(style.matches("--consentry-button:#123456").count(), 2);
            assert!(
                !style.contains("COLOURS") && !style.contains("PLACE") && !style.contains("DARK")
            );
            assert_eq!(style.matches('{').count(), style.matches('}').count());
        }
    }

    #[test]
    fn letters_beyond_ascii_are_character_references() {
        assert_eq!(ascii("<p>zur\u{fc}ck \u{1f36a}</p>"), "<p>zur&#252;ck &#127850;</p>");
    }
}
