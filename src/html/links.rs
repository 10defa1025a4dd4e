//! Response fields that load resources before the page is parsed: `Link` (RFC 8288), `Refresh` and
//! `Speculation-Rules`.

use http::HeaderName;
use http::header::{LINK, REFRESH};

use super::loads::{self, Resource};
use super::url_policy::UrlPolicy;
use crate::http::{
    Change, FieldSection, Fields, links, parameter, split_link, split_outside_quotes,
};

static SPECULATION_RULES: HeaderName = HeaderName::from_static("speculation-rules");

/// Whether a response has such a field.
pub(super) fn any(fields: &FieldSection) -> bool {
    [&LINK, &REFRESH, &SPECULATION_RULES].iter().any(|name| fields.has(name))
}

/// Removes blocked URLs.
pub(super) fn strip(fields: &mut FieldSection, policy: &UrlPolicy) {
    strip_values(fields, &REFRESH, |value| {
        (!policy.refuses_refresh(value)).then(|| value.to_owned())
    });
    strip_values(fields, &LINK, |value| {
        without(value, links(value), |link| is_refused(link, policy))
    });
    strip_values(fields, &SPECULATION_RULES, |value| {
        let rules = split_outside_quotes(value.as_bytes());
        let rules = rules.filter_map(|rule| std::str::from_utf8(rule).ok());
        without(value, rules, |rule| policy.refuses(rule.trim_matches('"'), Resource::Other))
    });
}

/// A list field without the refused members. `None` if no member remains.
fn without<'v>(
    value: &str,
    members: impl Iterator<Item = &'v str>,
    refused: impl Fn(&str) -> bool,
) -> Option<String> {
    let (blocked, kept): (Vec<&str>, Vec<&str>) = members.partition(|member| refused(member));
    if blocked.is_empty() {
        return Some(value.to_owned());
    }
    (!kept.is_empty()).then(|| kept.join(", "))
}

/// Edits the values of a field, and removes those for which `change` returns `None`.
fn strip_values(
    fields: &mut FieldSection,
    name: &HeaderName,
    change: impl Fn(&str) -> Option<String>,
) {
    fields.change(name, |value| {
        let text = String::from_utf8_lossy(value);
        match change(&text) {
            Some(changed) if changed == text => Change::Keep,
            Some(changed) => Change::Set(changed.into()),
            None => Change::Remove,
        }
    });
}

fn is_refused(link: &str, policy: &UrlPolicy) -> bool {
    let Some((url, parameters)) = split_link(link) else { return false };
    let value = |name| parameter(parameters, name).map(|value| value.trim_matches('"'));
    let loads = value("rel").is_some_and(loads::link_loads);
    let kind = match value("as") {
        Some("script") => Resource::Script,
        Some("image") => Resource::Image,
        Some("style") => Resource::Stylesheet,
        _ => Resource::Other,
    };
    let images = value("imagesrcset").unwrap_or_default();
    let refuses = |url: &str| policy.refuses(url, kind);
    loads && (refuses(url) || loads::srcset(images).any(refuses))
}
