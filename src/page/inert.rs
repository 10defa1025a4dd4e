//! Foreign tags of categories without consent, made inert: the browser keeps them and loads nothing. A
//! reload after consent brings them back, for then they are left as they are.

use lol_html::send::Element;

use crate::consent::CategorySet;
use crate::filter::{Filter, without_port};

/// Takes from a tag what would make the browser load something without consent.
pub(super) fn disarm(
    element: &mut Element<'_, '_>,
    filter: &Filter,
    granted: CategorySet,
    own_host: &str,
) {
    // What names the URL, and what has to go; a link without `rel` does nothing, one without `href` complains.
    let (attributes, kind): (&[(&str, &str)], &str) = match element.tag_name().as_str() {
        "script" => (&[("src", "src")], "script"),
        "img" => (&[("src", "src"), ("srcset", "srcset")], "image"),
        "iframe" => (&[("src", "src")], "subdocument"),
        "link" if loads_early(element) => (&[("href", "rel")], "other"),
        _ => return,
    };
    for (named_by, taken) in attributes {
        let Some(value) = element.get_attribute(named_by) else { continue };
        let refused = |url: &str| is_refused(url, filter, granted, own_host, kind);
        let refused = match *named_by {
            "srcset" => {
                let mut urls = value.split(',').filter_map(|part| part.split_whitespace().next());
                urls.any(refused)
            }
            _ => refused(value.trim()),
        };
        if !refused {
            continue;
        }
        if let Some(value) = element.get_attribute(taken) {
            // The names are ours and fit; a value that does not fit is not kept.
            let _ = element.set_attribute(&format!("data-consentry-{taken}"), &value);
        }
        element.remove_attribute(taken);
        if kind == "script" {
            let _ = element.set_attribute("type", "text/plain");
        }
    }
}

/// Whether a link lets the browser load or connect before it is needed.
fn loads_early(element: &Element<'_, '_>) -> bool {
    let early = ["preload", "preconnect", "dns-prefetch", "modulepreload", "prefetch"];
    element.get_attribute("rel").is_some_and(|rel| {
        rel.split_ascii_whitespace().any(|word| early.iter().any(|e| word.eq_ignore_ascii_case(e)))
    })
}

fn is_refused(
    url: &str,
    filter: &Filter,
    granted: CategorySet,
    own_host: &str,
    kind: &str,
) -> bool {
    let Some(host) = host_of(url).map(|host| host.to_ascii_lowercase()) else { return false };
    if host == own_host {
        return false;
    }
    let url = if url.starts_with("//") { format!("https:{url}") } else { url.to_owned() };
    let policy = &filter.settings().policy;
    policy
        .catalogue
        .third_party(&host, own_host, &url, kind)
        .is_some_and(|entry| !crate::policy::permits(granted, entry.category))
}

/// The host of a URL that names one, as browsers read it (URL Standard section 4.4).
fn host_of(url: &str) -> Option<&str> {
    let after = match url.get(..2) {
        Some("//") => url.get(2..)?,
        _ => {
            let (scheme, rest) = url.split_once(':')?;
            let web = scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http");
            if !web {
                return None;
            }
            rest.trim_start_matches(['/', '\\'])
        }
    };
    let authority = after.split(['/', '?', '#', '\\']).next()?;
    let host = authority.rsplit('@').next()?;
    let host = without_port(host);
    (!host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_a_url_is_read_as_browsers_do() {
        for (url, host) in [
            ("https://a.example/x", Some("a.example")),
            ("//a.example", Some("a.example")),
            ("HTTP://u:p@A.example:80?x", Some("A.example")),
            ("https:a.example/x", Some("a.example")),
            ("https:/\\a.example\\x", Some("a.example")),
            ("http://[::1]:80/x", Some("[::1]")),
            ("/local", None),
            ("local.js", None),
            ("data:text/plain,https://a.example", None),
            ("", None),
        ] {
            assert_eq!(host_of(url), host, "{url}");
        }
    }
}
