//! The banner: a form without script that asks a visitor who has not decided.

use askama::Template;

use super::frame::query;
use super::site::Site;
use crate::config::settings::{Banner, Colours, Position};
use crate::consent::Category;
use crate::locale::{Locale, Texts, fill};

/// What the banner is to look like on one page.
#[derive(Debug, Clone, Copy)]
pub struct BannerFor<'a> {
    /// The visitor's language.
    pub locale: &'a Locale,
    /// The page's own path and query, where the visitor goes back to.
    pub return_to: &'a str,
    /// Whether the page's policy lets a form post to this site.
    pub form: bool,
    /// What the page's policy wants of a stylesheet.
    pub nonce: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "banner.html")]
struct Markup<'a> {
    prefix: &'a str,
    locale: &'a Locale,
    texts: &'a Texts,
    text: String,
    query: String,
    return_to: &'a str,
    form: bool,
    nonce: Option<&'a str>,
}

/// The markup, of ASCII alone: it reads the same in whatever encoding the page is.
pub(super) fn markup(site: &Site, of: BannerFor<'_>) -> Option<String> {
    let categories = &site.reader().categories;
    let optional = categories.iter().filter(|(category, _)| *category != Category::NECESSARY);
    let names = of.locale.list(optional.map(|(_, name)| name));
    let markup = Markup {
        prefix: &site.settings.prefix,
        locale: of.locale,
        texts: &of.locale.texts,
        text: fill(&of.locale.texts.banner_text, &[("categories", &names)]).into_owned(),
        query: query(&of.locale.tag, Some(of.return_to)),
        return_to: of.return_to,
        form: of.form,
        nonce: of.nonce,
    };
    markup.render().ok().map(|markup| ascii(&markup))
}

/// Everything beyond ASCII as a character reference (HTML section 13.1.4).
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

/// The style, with the site's colours and place.
pub(super) fn style(banner: &Banner) -> String {
    let place = match banner.position {
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
        .replace("PLACE", place)
        .replace("DARK", &dark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_style_has_the_sites_colours_and_place_and_nothing_left_to_fill_in() {
        for position in [Position::Bottom, Position::Top, Position::Corner] {
            let colours = Colours { button: Some("#123456".to_owned()), ..Colours::default() };
            let style = style(&Banner { position, colours });
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
