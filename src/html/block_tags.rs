//! Blocks the loads of a tag without consent. The attribute gets a `data-` name, so that scripts of
//! the site can restore it.

use super::css;
use super::loads::{self, LoadSyntax, Resource};
use super::tag::{Tag, TagEdit, without_prefix};
use super::text::TextReader;
use super::url_policy::UrlPolicy;

/// The edits of a tag.
#[derive(Debug, Default)]
pub(super) struct TagEdits<'a> {
    pub(super) edits: Vec<TagEdit<'a>>,
    /// Attributes that contain pages.
    pub(super) pages: Vec<(&'a [u8], EmbeddedPage)>,
}

/// A page in an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum EmbeddedPage {
    /// The decoded text of the attribute.
    Srcdoc(String),
    /// A `data:` URL.
    Data(String),
}

/// Finds the blocked loads of one document.
#[derive(Debug, Clone)]
pub(super) struct Blocker {
    pub(super) policy: UrlPolicy,
    pub(super) reader: TextReader,
    pub(super) xml: bool,
}

impl Blocker {
    /// The edits of a tag. `name` is the element's name in lower case.
    pub(super) fn changes<'a>(&self, name: &[u8], tag: &Tag<'a>) -> TagEdits<'a> {
        let mut changes = TagEdits::default();
        match name {
            b"link" => self.link(tag, &mut changes),
            b"meta" => self.meta(tag, &mut changes),
            b"base" => self.base(tag, &mut changes),
            _ => {}
        }
        let mut seen: Vec<&[u8]> = Vec::new();
        for (attribute, value) in tag.attributes() {
            let Some(load) = self.load(name, attribute) else { continue };
            // Browsers use the first of several attributes with the same name.
            if seen.iter().any(|other| tag.same(other, attribute)) {
                continue;
            }
            seen.push(attribute);
            let values = || self.reader.attribute(value);
            match load {
                LoadSyntax::Srcdoc => {
                    changes
                        .pages
                        .push((attribute, EmbeddedPage::Srcdoc(self.reader.likely(value))));
                }
                LoadSyntax::Css => {
                    if let Some(css) = values().find_map(|css| self.css(&css)) {
                        changes.edits.push(TagEdit::Set(attribute, css));
                    }
                }
                _ if values().any(|value| self.refuses(&value, load)) => {
                    changes.edits.push(TagEdit::Disable(attribute));
                    if name == b"script" {
                        // Without a URL, browsers would run the text of the element.
                        changes.edits.extend(disable_script(tag));
                    }
                }
                LoadSyntax::Url(Resource::Subdocument | Resource::Object) => {
                    let data = values().find(|value| is_data(value));
                    changes
                        .pages
                        .extend(data.map(|d| (attribute, EmbeddedPage::Data(d.into_owned()))));
                }
                _ => {}
            }
        }
        changes
    }

    /// CSS without blocked URLs. `None` if it contains none.
    pub(super) fn css(&self, css: &str) -> Option<String> {
        let lower = || css.as_bytes().windows(4).any(|word| word.eq_ignore_ascii_case(b"http"));
        let may_be_foreign =
            self.policy.has_foreign_base() || css.contains("//") || css.contains('\\') || lower();
        may_be_foreign
            .then(|| css::without_refused(css, &|url, kind| self.policy.refuses(url, kind)))
            .flatten()
    }

    /// Whether the keys or strings of a JSON text contain a blocked URL.
    pub(super) fn refuses_json(&self, json: &str) -> bool {
        let refuses = |text: &str| self.policy.refuses(text, Resource::Other);
        let Ok(value) = serde_json::from_str::<serde_json::Value>(json) else {
            // Browsers may accept JSON that this parser rejects, such as deeper nesting.
            return json.split('"').any(|text| refuses(&text.replace('\\', "")));
        };
        let mut open = vec![&value];
        while let Some(value) = open.pop() {
            match value {
                serde_json::Value::String(text) if refuses(text) => return true,
                serde_json::Value::Array(values) => open.extend(values),
                serde_json::Value::Object(members) => {
                    if members.keys().any(|name| refuses(name)) {
                        return true;
                    }
                    open.extend(members.values());
                }
                _ => {}
            }
        }
        false
    }

    /// Whether to disable an attribute that exceeds the limit, judging by its start.
    pub(super) fn refuses_start(&self, element: &[u8], attribute: &[u8], start: &[u8]) -> bool {
        // The name is truncated, and in XML its end matters.
        if attribute.is_empty() {
            return self.xml;
        }
        let is_file = |load: LoadSyntax| {
            !matches!(load, LoadSyntax::Url(Resource::Subdocument | Resource::Object))
                && matches!(load, LoadSyntax::Url(_))
        };
        // Other URLs may contain the host after the limit.
        let is_harmless = self.load(element, attribute).is_some_and(is_file)
            && self.reader.attribute(start).all(|url| is_data(&url));
        !is_harmless && self.may_load(element, attribute)
    }

    /// Whether an attribute of a tag over the limit may load something, whatever its value.
    pub(super) fn may_load(&self, element: &[u8], attribute: &[u8]) -> bool {
        let mut buffer = loads::NameBuffer::default();
        let lower = loads::lower(self.local(attribute), &mut buffer);
        lower.is_some_and(|lower| loads::may_load(element, lower))
    }

    fn load(&self, element: &[u8], attribute: &[u8]) -> Option<LoadSyntax> {
        let mut buffer = loads::NameBuffer::default();
        loads::load(element, loads::lower(self.local(attribute), &mut buffer)?)
    }

    fn local<'n>(&self, name: &'n [u8]) -> &'n [u8] {
        if self.xml || name.eq_ignore_ascii_case(b"xlink:href") {
            without_prefix(name)
        } else {
            name
        }
    }

    fn refuses(&self, value: &str, load: LoadSyntax) -> bool {
        let refuses = |url: &str, kind| self.policy.refuses(url, kind);
        match load {
            LoadSyntax::Url(kind) => refuses(value, kind),
            LoadSyntax::SrcSet => loads::srcset(value).any(|url| refuses(url, Resource::Image)),
            LoadSyntax::Urls(kind) => value.split_ascii_whitespace().any(|url| refuses(url, kind)),
            LoadSyntax::Values => value.split(';').any(|url| refuses(url, Resource::Image)),
            LoadSyntax::Css | LoadSyntax::Srcdoc => false,
        }
    }

    fn link<'a>(&self, tag: &Tag<'a>, changes: &mut TagEdits<'a>) {
        let text =
            |name: &str| tag.attribute(name.as_bytes()).map(|value| self.reader.likely(value));
        let Some(rel) = text("rel").filter(|rel| loads::link_loads(rel)) else { return };
        let kind = match text("as").as_deref() {
            Some("script") => Resource::Script,
            Some("image") => Resource::Image,
            Some("style") => Resource::Stylesheet,
            _ if rel.to_ascii_lowercase().contains("stylesheet") => Resource::Stylesheet,
            _ => Resource::Other,
        };
        let refused = |name: &str, load: LoadSyntax| {
            let value = tag.attribute(name.as_bytes()).unwrap_or_default();
            self.reader.attribute(value).any(|value| self.refuses(&value, load))
        };
        if refused("href", LoadSyntax::Url(kind)) || refused("imagesrcset", LoadSyntax::SrcSet) {
            // A link without `rel` has no effect. A link without `href` is reported as an error.
            changes.edits.push(TagEdit::Disable(b"rel"));
        }
    }

    fn meta<'a>(&self, tag: &Tag<'a>, changes: &mut TagEdits<'a>) {
        let equiv = tag.attribute(b"http-equiv").map(|value| self.reader.likely(value));
        if equiv.is_some_and(|equiv| equiv.eq_ignore_ascii_case("refresh")) {
            let content = tag.attribute(b"content").unwrap_or_default();
            if self.reader.attribute(content).any(|content| self.policy.refuses_refresh(&content)) {
                changes.edits.push(TagEdit::Disable(b"http-equiv"));
            }
        }
    }

    /// The encoding that a `<meta>` declares: the attribute's name, the label, and the attribute's
    /// value for UTF-8.
    pub(super) fn named_charset(&self, tag: &Tag<'_>) -> Option<(&'static [u8], String, String)> {
        let text = |name: &[u8]| tag.attribute(name).map(|value| self.reader.likely(value));
        if let Some(label) = text(b"charset") {
            return Some((b"charset", label, "utf-8".to_owned()));
        }
        let equiv = text(b"http-equiv")?;
        let content = text(b"content").filter(|_| equiv.eq_ignore_ascii_case("content-type"))?;
        let at = content.to_ascii_lowercase().find("charset")?;
        let rest = content.get(at + 7..)?.trim_ascii_start().strip_prefix('=')?.trim_ascii_start();
        let label = match rest.chars().next()? {
            quote @ ('"' | '\'') => rest.get(1..)?.split(quote).next()?,
            _ => rest.split([';', ' ', '\t', '\n', '\r', '\x0c']).next()?,
        };
        Some((b"content", label.to_owned(), "text/html; charset=utf-8".to_owned()))
    }

    /// Disables a blocked base, from which every relative URL would load, including those in CSS
    /// and scripts.
    fn base<'a>(&self, tag: &Tag<'a>, changes: &mut TagEdits<'a>) {
        let href = tag.attribute(b"href").unwrap_or_default();
        let refused = |href: &str| self.policy.refuses_base(href);
        if self.reader.attribute(href).any(|href| refused(&href)) {
            changes.edits.push(TagEdit::Disable(b"href"));
        }
    }
}

/// Edits that prevent a script from running.
pub(super) fn disable_script<'a>(tag: &Tag<'a>) -> Vec<TagEdit<'a>> {
    let set = TagEdit::Set(b"type", "text/plain".to_owned());
    let own = tag.attribute(b"type").map(|_| TagEdit::Disable(b"type"));
    own.into_iter().chain([set]).collect()
}

fn is_data(url: &str) -> bool {
    let url = url.trim_start_matches(|letter: char| letter <= ' ');
    let start: String = url.chars().filter(|l| !matches!(l, '\t' | '\n' | '\r')).take(5).collect();
    start.eq_ignore_ascii_case("data:")
}
