//! Attributes of HTML, SVG and related specifications from which browsers load URLs without user
//! interaction.

/// The resource type of a load, with its name in filter lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resource {
    Script,
    Image,
    Subdocument,
    Stylesheet,
    Object,
    Media,
    Ping,
    Other,
}

impl Resource {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Script => "script",
            Self::Image => "image",
            Self::Subdocument => "subdocument",
            Self::Stylesheet => "stylesheet",
            Self::Object => "object",
            Self::Media => "media",
            Self::Ping => "ping",
            Self::Other => "other",
        }
    }
}

/// The syntax of an attribute's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LoadSyntax {
    Url(Resource),
    /// URLs with descriptors, separated by commas.
    SrcSet,
    /// URLs separated by spaces.
    Urls(Resource),
    /// URLs separated by semicolons: the values of an SVG animation.
    Values,
    /// CSS, which may load images and fonts.
    Css,
    /// An HTML page.
    Srcdoc,
}

/// Large enough for the longest name below.
pub(super) type NameBuffer = [u8; 16];

/// The load of an element's attribute. Names are in lower case, without namespace prefixes.
pub(super) fn load(element: &[u8], attribute: &[u8]) -> Option<LoadSyntax> {
    Some(match attribute {
        b"src" => LoadSyntax::Url(match element {
            b"script" => Resource::Script,
            b"img" | b"image" | b"input" => Resource::Image,
            b"iframe" | b"frame" => Resource::Subdocument,
            b"video" | b"audio" | b"source" | b"track" => Resource::Media,
            b"embed" => Resource::Object,
            _ => Resource::Other,
        }),
        // Links load only on user interaction. `link` and `base` elements are handled as a whole.
        b"href" if !matches!(element, b"a" | b"area" | b"base" | b"link") => {
            LoadSyntax::Url(match element {
                b"script" => Resource::Script,
                b"image" | b"feimage" => Resource::Image,
                _ => Resource::Other,
            })
        }
        b"data" if element == b"object" => LoadSyntax::Url(Resource::Object),
        b"poster" | b"background" => LoadSyntax::Url(Resource::Image),
        b"srcset" => LoadSyntax::SrcSet,
        b"srcdoc" if element == b"iframe" => LoadSyntax::Srcdoc,
        b"ping" if matches!(element, b"a" | b"area") => LoadSyntax::Urls(Resource::Ping),
        b"attributionsrc" => LoadSyntax::Urls(Resource::Ping),
        b"to" | b"from" | b"by" | b"values" if matches!(element, b"animate" | b"set") => {
            LoadSyntax::Values
        }
        b"style" => LoadSyntax::Css,
        // Presentation attributes that can contain a URL (SVG section 6.6).
        b"fill" | b"stroke" | b"filter" | b"mask" | b"cursor" | b"clip-path" | b"marker"
        | b"marker-start" | b"marker-mid" | b"marker-end" => LoadSyntax::Css,
        _ => return None,
    })
}

/// A name in lower case. `None` if it is longer than all names above.
pub(super) fn lower<'b>(name: &[u8], buffer: &'b mut NameBuffer) -> Option<&'b [u8]> {
    let buffer = buffer.get_mut(..name.len())?;
    buffer.copy_from_slice(name);
    buffer.make_ascii_lowercase();
    Some(buffer)
}

/// Whether to disable an attribute of a tag over the limit, whatever its value.
pub(super) fn may_load(element: &[u8], attribute: &[u8]) -> bool {
    let special = match element {
        b"link" => matches!(attribute, b"rel" | b"href" | b"imagesrcset"),
        b"meta" => matches!(attribute, b"http-equiv" | b"content"),
        b"base" => attribute == b"href",
        _ => false,
    };
    special || load(element, attribute).is_some()
}

/// Whether a link with this `rel` loads its URL or connects to its host (HTML section 4.6.7 and
/// browser extensions).
pub(super) fn link_loads(rel: &str) -> bool {
    const TYPES: [&str; 17] = [
        "stylesheet",
        "icon",
        "apple-touch-icon",
        "apple-touch-icon-precomposed",
        "apple-touch-startup-image",
        "mask-icon",
        "fluid-icon",
        "manifest",
        "preload",
        "modulepreload",
        "prefetch",
        "prerender",
        "preconnect",
        "dns-prefetch",
        "compression-dictionary",
        "search",
        "import",
    ];
    rel.split_ascii_whitespace().any(|word| TYPES.iter().any(|t| word.eq_ignore_ascii_case(t)))
}

/// Whether a script of this type is JSON with URLs to load.
pub(super) fn is_url_data(script_type: &str) -> bool {
    const TYPES: [&str; 3] = ["importmap", "speculationrules", "webbundle"];
    let script_type = script_type.trim_ascii();
    TYPES.iter().any(|other| script_type.eq_ignore_ascii_case(other))
}

/// The URLs of a `srcset` (HTML section 4.8.4.3.9).
pub(super) fn srcset(value: &str) -> impl Iterator<Item = &str> {
    let mut rest = value;
    std::iter::from_fn(move || {
        rest =
            rest.trim_start_matches(|letter: char| letter == ',' || letter.is_ascii_whitespace());
        let end = rest.find(|letter: char| letter.is_ascii_whitespace()).unwrap_or(rest.len());
        let (url, after) = rest.split_at_checked(end).filter(|(url, _)| !url.is_empty())?;
        let url_only = url.trim_end_matches(',');
        rest = if url_only.len() < url.len() { after } else { after_descriptors(after) };
        Some(url_only)
    })
}

/// The text from the comma after a candidate's descriptors.
fn after_descriptors(text: &str) -> &str {
    let mut in_parentheses = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => in_parentheses = true,
            b')' => in_parentheses = false,
            b',' if !in_parentheses => return text.get(at..).unwrap_or_default(),
            _ => {}
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn srcset_urls_are_parsed_like_browsers_parse_them() {
        for (value, urls) in [
            ("a.png", &["a.png"][..]),
            (" a.png 1x, b.png 2x ", &["a.png", "b.png"]),
            ("a.png,b.png 2x", &["a.png,b.png"]),
            ("a.png, b.png", &["a.png", "b.png"]),
            ("a.png,, ,b.png", &["a.png", "b.png"]),
            ("a.png 100w (x, y), b.png", &["a.png", "b.png"]),
            (", ,", &[]),
            ("data:image/png;base64,AA== 1x,\tb.png 2x", &["data:image/png;base64,AA==", "b.png"]),
        ] {
            assert_eq!(srcset(value).collect::<Vec<_>>(), urls, "{value}");
        }
    }
}
