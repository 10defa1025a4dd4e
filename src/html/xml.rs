//! XML-specific features: namespaces, entities and processing instructions.

use super::block_tags::Blocker;
use super::loads::Resource;
use super::tag::Tag;

/// Maximum number of namespace prefixes to keep.
const MAX_PREFIXES: usize = 64;

/// Namespaces of elements that load resources.
const LOADING: [&str; 2] = ["http://www.w3.org/1999/xhtml", "http://www.w3.org/2000/svg"];

/// The namespace prefixes of XHTML and SVG that a document has declared anywhere.
#[derive(Debug, Default)]
pub(super) struct Namespaces {
    prefixes: Vec<Vec<u8>>,
    /// Treat every element as XHTML or SVG.
    all: bool,
}

impl Namespaces {
    /// Treats every element from here on as XHTML or SVG.
    pub(super) fn follow_all(&mut self) {
        self.all = true;
    }

    /// Adds the declarations of a tag. Returns whether the tag is an XHTML or SVG element.
    pub(super) fn declare(&mut self, tag: &Tag<'_>, blocker: &Blocker) -> bool {
        for (name, value) in tag.attributes() {
            let prefix = match name.strip_prefix(b"xmlns") {
                Some(b"") => b"",
                Some([b':', prefix @ ..]) => prefix,
                _ => continue,
            };
            let loads = |text: &str| LOADING.contains(&text);
            let reads = blocker.reader.attribute(value).any(|value| loads(&value));
            if reads && !self.prefixes.iter().any(|other| other == prefix) {
                match self.prefixes.len() < MAX_PREFIXES {
                    true => self.prefixes.push(prefix.to_vec()),
                    false => self.all = true,
                }
            }
        }
        self.all || self.prefixes.iter().any(|prefix| prefix == tag.prefix())
    }

    /// Adds the entities of a doctype. Returns the doctype without its blocked parts.
    pub(super) fn doctype(&mut self, doctype: &[u8], blocker: &mut Blocker) -> Vec<u8> {
        let text = String::from_utf8_lossy(doctype);
        let mut entities = blocker.reader.entities.take().unwrap_or_default();
        let is_ambiguous =
            text.contains("<!ENTITY") && (text.contains('%') || entities.are_ambiguous(&text));
        if !is_ambiguous {
            entities.declare(&text);
        }
        let passes = entities.without_markup(&text);
        blocker.reader.entities = Some(entities);
        // `<!ATTLIST` gives elements attributes that their tags do not contain.
        self.all |= text.contains("<!ATTLIST");
        let loads = text.contains("<!ATTLIST") && defaults(&text).any(|text| loads(text, blocker));
        if is_ambiguous || loads {
            // Too complex to analyse: drops the internal subset.
            let subset = text.find('[').unwrap_or(text.len());
            return [text.get(..subset).unwrap_or_default().as_bytes(), b">"].concat();
        }
        passes.map_or_else(|| doctype.to_vec(), String::into_bytes)
    }
}

/// The quoted texts of a doctype, split at double quotes and at single quotes.
fn defaults(doctype: &str) -> impl Iterator<Item = &str> {
    doctype.split('"').chain(doctype.split('\''))
}

/// Whether the default value of an attribute may contain a blocked URL.
fn loads(value: &str, blocker: &Blocker) -> bool {
    blocker.reader.attribute(value.as_bytes()).any(|value| {
        let mut words = value.split([' ', '\t', '\n', '\r', ',', ';']);
        words.any(|url| blocker.policy.refuses(url, Resource::Other))
            || blocker.css(&value).is_some()
    })
}

/// The decision about a processing instruction.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Instruction {
    AsItIs,
    /// Loads a blocked stylesheet.
    Blocked,
    /// The XML declaration with this encoding.
    Encoding(String),
}

/// Parses a processing instruction.
pub(super) fn instruction(instruction: &[u8], blocker: &Blocker) -> Instruction {
    let value = |name: &str| {
        let text = String::from_utf8_lossy(instruction).into_owned();
        let at = text.match_indices(name).map(|(at, _)| at + name.len());
        at.filter_map(|at| {
            let rest = text.get(at..)?.trim_ascii_start().strip_prefix('=')?.trim_ascii_start();
            let quote = rest.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
            Some(rest.get(1..)?.split(quote).next()?.to_owned())
        })
        .next()
    };
    if instruction.starts_with(b"<?xml-stylesheet") {
        let href = value("href").unwrap_or_default();
        let refused = |href: &str| blocker.policy.refuses(href, Resource::Stylesheet);
        if blocker.reader.attribute(href.as_bytes()).any(|href| refused(&href)) {
            return Instruction::Blocked;
        }
    } else if instruction.starts_with(b"<?xml")
        && let Some(encoding) = value("encoding")
    {
        return Instruction::Encoding(encoding);
    }
    Instruction::AsItIs
}

/// Inserted markup as XML: with its namespace, and with empty elements closed.
pub(super) fn as_xml(markup: &str) -> String {
    let mut out = String::with_capacity(markup.len() + 64);
    let mut depth = 0_usize;
    for (number, part) in markup.split('<').enumerate() {
        if number == 0 {
            out.push_str(part);
            continue;
        }
        out.push('<');
        let Some((tag, text)) = part.split_once('>').filter(|(tag, _)| !tag.starts_with('/'))
        else {
            depth = depth.saturating_sub(1);
            out.push_str(part);
            continue;
        };
        let name = tag.split([' ', '\n']).next().unwrap_or_default();
        let rest = tag.get(name.len()..).unwrap_or_default();
        out.push_str(name);
        if depth == 0 {
            out.push_str(" xmlns=\"http://www.w3.org/1999/xhtml\"");
        }
        out.push_str(rest);
        if matches!(name, "link" | "input") {
            out.push('/');
        } else {
            depth += 1;
        }
        out.push('>');
        out.push_str(text);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inserted_markup_is_well_formed_xml() {
        for (html, xml) in [
            (
                "<script src=\"/a.js\"></script>",
                "<script xmlns=\"http://www.w3.org/1999/xhtml\" src=\"/a.js\"></script>",
            ),
            (
                "<link href=\"a\">\n<section><p>x <input value=\"1\"></p></section>",
                "<link xmlns=\"http://www.w3.org/1999/xhtml\" href=\"a\"/>\n<section xmlns=\"http://www.w3.org/1999/xhtml\"><p>x <input value=\"1\"/></p></section>",
            ),
        ] {
            assert_eq!(as_xml(html), xml);
        }
    }

    #[test]
    fn at_most_64_prefixes_are_kept_and_beyond_them_every_element_is_scanned() {
        use crate::html::testing::blocker;
        use crate::html::tokenizer::{Token, Tokenizer};
        let blocker = blocker("utf-8", true);
        let mut namespaces = Namespaces::default();
        let mut declare = |tag: &str| {
            let mut tokenizer = Tokenizer::new(true, usize::MAX);
            let Some(Token::Start(range)) = tokenizer.next(tag.as_bytes()) else { panic!("{tag}") };
            let spans = tokenizer.take_spans();
            namespaces.declare(&Tag::new(&tag.as_bytes()[range], &spans, true), &blocker)
        };
        for number in 0..64 {
            declare(&format!("<a xmlns:p{number}=\"http://www.w3.org/2000/svg\">"));
        }
        assert!(declare("<p63:a>") && !declare("<q:a>"));
        for number in 64..200 {
            declare(&format!("<a xmlns:p{number}=\"http://www.w3.org/2000/svg\">"));
        }
        assert!(declare("<q:a>"), "not followed any further");
        assert_eq!(namespaces.prefixes.len(), 64);
    }
}
