//! Response headers that switch on tracking technologies other than cookies follow a category.

use http::header::{ETAG, HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED};

use super::report::Report;
use crate::config::settings::Technologies;
use crate::consent::{Category, CategorySet};
use crate::policy::permits;

/// Client hints that a browser sends without being asked (WICG User-Agent Client Hints, section 3;
/// `Save-Data` is the visitor's own wish): asking for them tells nothing new.
const LOW_ENTROPY: &[&str] = &["save-data", "sec-ch-ua", "sec-ch-ua-mobile", "sec-ch-ua-platform"];

/// What one response header is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Technology {
    Nel,
    AttributionReporting,
    Topics,
    ClientHints,
    LoginStatus,
    BeaconETag,
}

fn technology(name: &HeaderName, is_beacon: bool) -> Option<Technology> {
    // Most responses have none of these: the length rules out nearly every name.
    let text = name.as_str();
    match text.len() {
        3 if text == "nel" => Some(Technology::Nel),
        9 if text == "accept-ch" => Some(Technology::ClientHints),
        11 if text == "critical-ch" => Some(Technology::ClientHints),
        9 if text == "set-login" => Some(Technology::LoginStatus),
        4 if is_beacon && text == "etag" => Some(Technology::BeaconETag),
        13 if is_beacon && text == "last-modified" => Some(Technology::BeaconETag),
        23 if text == "observe-browsing-topics" => Some(Technology::Topics),
        22.. if text.starts_with("attribution-reporting-") => {
            Some(Technology::AttributionReporting)
        }
        _ => None,
    }
}

/// Strips the headers whose category was not granted; in observe mode, counts them only. Returns
/// whether the headers were changed.
pub(super) fn strip(
    headers: &mut HeaderMap,
    technologies: &Technologies,
    granted: CategorySet,
    is_beacon: bool,
    enforce: bool,
    report: &mut Report,
) -> bool {
    let before = report.technologies_stripped;
    let unwanted = |name: &HeaderName| {
        let technology = technology(name, is_beacon)?;
        let category = category(technologies, technology)?;
        (!permits(granted, category)).then_some(technology)
    };
    // `HeaderMap::retain` does not exist, and collecting names allocates: only when there is one.
    let found: Vec<(HeaderName, Technology)> = headers
        .keys()
        .filter_map(|name| unwanted(name).map(|technology| (name.clone(), technology)))
        .collect();
    for (name, technology) in found {
        if technology == Technology::ClientHints {
            strip_hints(headers, &name, enforce, report);
            continue;
        }
        report.technologies_stripped = report.technologies_stripped.saturating_add(1);
        if technology == Technology::Nel {
            strip_reporting_groups(headers, &name, enforce);
        }
        if enforce {
            headers.remove(&name);
        }
    }
    enforce && report.technologies_stripped > before
}

/// Strips what a response that turned out to be a beacon would bring back as an identifier.
pub(super) fn strip_validators(
    headers: &mut HeaderMap,
    technologies: &Technologies,
    granted: CategorySet,
    enforce: bool,
    report: &mut Report,
) {
    let Some(category) = technologies.beacon_etag else { return };
    for name in [ETAG, LAST_MODIFIED] {
        if !permits(granted, category) && headers.contains_key(&name) {
            report.technologies_stripped = report.technologies_stripped.saturating_add(1);
            if enforce {
                headers.remove(&name);
            }
        }
    }
}

fn category(technologies: &Technologies, technology: Technology) -> Option<Category> {
    match technology {
        Technology::Nel => technologies.nel,
        Technology::AttributionReporting => technologies.attribution_reporting,
        Technology::Topics => technologies.topics,
        Technology::ClientHints => technologies.client_hints,
        Technology::LoginStatus => technologies.login_status,
        Technology::BeaconETag => technologies.beacon_etag,
    }
}

/// Leaves of `Accept-CH` only the low-entropy hints.
fn strip_hints(headers: &mut HeaderMap, name: &HeaderName, enforce: bool, report: &mut Report) {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut stripped = false;
    for field in headers.get_all(name) {
        for hint in field.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if LOW_ENTROPY.iter().any(|low| hint.eq_ignore_ascii_case(low.as_bytes())) {
                kept.push(hint);
            } else {
                stripped |= !hint.is_empty();
            }
        }
    }
    if !stripped {
        return;
    }
    report.technologies_stripped = report.technologies_stripped.saturating_add(1);
    if !enforce {
        return;
    }
    match HeaderValue::from_bytes(&kept.join(&b", "[..])) {
        Ok(value) if !value.is_empty() => {
            headers.insert(name.clone(), value);
        }
        _ => {
            headers.remove(name);
        }
    }
}

/// Removes from `Report-To` the groups that `NEL` names; others (CSP, COOP) stay.
fn strip_reporting_groups(headers: &mut HeaderMap, nel: &HeaderName, enforce: bool) {
    let group_of = |value: &serde_json::Value, key: &str| {
        value.get(key).and_then(|name| name.as_str()).map(str::to_owned)
    };
    let groups: Vec<String> = headers
        .get_all(nel)
        .iter()
        .filter_map(|value| serde_json::from_slice(value.as_bytes()).ok())
        .filter_map(|value| group_of(&value, "report_to"))
        .collect();
    if !enforce || groups.is_empty() || !headers.contains_key("report-to") {
        return;
    }
    // `Report-To` is JSON objects separated by commas: a JSON list without its brackets.
    let mut list = vec![b'['];
    let fields: Vec<&[u8]> =
        headers.get_all("report-to").iter().map(HeaderValue::as_bytes).collect();
    list.extend(fields.join(&b','));
    list.push(b']');
    let Ok(serde_json::Value::Array(entries)) = serde_json::from_slice(&list) else { return };
    let kept: Vec<String> = entries
        .iter()
        .filter(|entry| {
            let name = group_of(entry, "group").unwrap_or_else(|| "default".to_owned());
            !groups.contains(&name)
        })
        .map(serde_json::Value::to_string)
        .collect();
    if kept.len() == entries.len() {
        return;
    }
    headers.remove("report-to");
    if !kept.is_empty()
        && let Ok(value) = HeaderValue::from_str(&kept.join(", "))
    {
        headers.insert("report-to", value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::Consent;

    fn stripped(fields: &[(&'static str, &'static str)]) -> (Vec<(String, String)>, u16) {
        stripped_with(&Technologies::default(), fields)
    }

    fn stripped_with(
        technologies: &Technologies,
        fields: &[(&'static str, &'static str)],
    ) -> (Vec<(String, String)>, u16) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let consent = Consent::undecided(CategorySet::NECESSARY);
        let mut report = Report::new(consent);
        strip(&mut headers, technologies, consent.granted, true, true, &mut report);
        let left = headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().expect("ASCII").to_owned()))
            .collect();
        (left, report.technologies_stripped)
    }

    #[test]
    fn headers_of_other_tracking_technologies_need_consent() {
        let (left, count) = stripped(&[
            ("content-type", "text/html"),
            ("nel", r#"{"report_to":"nel","max_age":60}"#),
            ("report-to", r#"{"group":"nel","max_age":60}, {"group":"csp","max_age":60}"#),
            ("attribution-reporting-register-source", "{}"),
            ("observe-browsing-topics", "?1"),
            ("accept-ch", "Sec-CH-UA, Sec-CH-UA-Model, Save-Data"),
            ("critical-ch", "Sec-CH-UA-Model"),
        ]);
        let mut left: Vec<_> = left.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        left.sort();
        assert_eq!(
            left,
            [
                ("accept-ch", "Sec-CH-UA, Save-Data"),
                ("content-type", "text/html"),
                ("report-to", r#"{"group":"csp","max_age":60}"#),
            ]
        );
        assert_eq!(count, 5);
    }

    #[test]
    fn low_entropy_hints_and_other_reports_are_left_alone() {
        let fields = &[("accept-ch", "sec-ch-ua,save-data"), ("report-to", r#"{"group":"csp"}"#)];
        let (left, count) = stripped(fields);
        assert_eq!((left.len(), count), (2, 0));
    }

    #[test]
    fn each_technology_has_its_switch_and_a_beacons_etag_is_an_identifier() {
        let fields = &[
            ("nel", "{}"),
            ("set-login", "logged-in"),
            ("etag", "\"visitor-7\""),
            ("last-modified", "x"),
        ];
        let (left, _) = stripped(fields);
        assert_eq!(left, [("set-login".to_owned(), "logged-in".to_owned())]);
        let off = Technologies {
            nel: None,
            beacon_etag: None,
            login_status: Some(Category::FUNCTIONAL),
            ..Technologies::default()
        };
        let (left, count) = stripped_with(&off, fields);
        assert_eq!((left.len(), count), (3, 1));
    }
}
