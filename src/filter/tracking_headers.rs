//! Strips fields of tracking technologies without consent in both directions, and fields that route
//! browsers past this proxy.
//!
//! Used by `request`, `response` and `body` (trailers). `fields` classifies the fields.

use http::header::{
    ETAG, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE,
    LAST_MODIFIED,
};

use super::edits::Edits;
use super::fields::{self, Field};
use super::report::Report;
use super::reporting;
use super::site_filter::Filter;
use crate::config::settings::{AlternativeServices, Technology};
use crate::http::{Fields, members};

const ALT_SVC: HeaderName = HeaderName::from_static("alt-svc");
const CLEAR: &str = "clear";
/// Fields with which a browser revalidates its cached response (RFC 9110 section 13.1).
const CONDITIONS: [HeaderName; 5] =
    [IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_RANGE, IF_MATCH, IF_UNMODIFIED_SINCE];
/// The value of `Service-Worker-Navigation-Preload`, unless a script sets another.
const PRELOAD: &str = "true";

/// Strips the fields without consent from a response or its trailers. In observe mode, fields are
/// only counted. `host` is the visited host. Returns whether fields were removed for lack of
/// consent.
pub(super) fn strip_response(
    message: &impl Fields,
    filter: &Filter,
    host: &str,
    report: &mut Report,
    edits: &mut Edits,
) -> bool {
    let mut edits = filter.enforces().then_some(edits);
    let mut changed = false;
    for (name, field) in unwanted(message, filter, report, fields::in_response) {
        let edits = edits.as_deref_mut();
        let stripped = match field {
            Field::Route => {
                strip_route(message, name, report, edits);
                continue;
            }
            Field::Of(Technology::ClientHints) => strip_hints(message, &name, edits),
            Field::Of(Technology::Reporting) => {
                reporting::strip_foreign(message, &name, host, edits)
            }
            Field::Of(technology) => {
                if let Some(edits) = edits {
                    if technology == Technology::Nel {
                        reporting::strip_nel_groups(message, &name, edits);
                    }
                    edits.remove(name);
                }
                true
            }
            Field::OldCookie => {
                edits.into_iter().for_each(|edits| edits.remove(name.clone()));
                true
            }
        };
        if stripped {
            report.note_field();
        }
        changed |= stripped;
    }
    edits.is_some() && changed
}

/// Strips the fields without consent from a request. In observe mode, fields are only counted.
pub(super) fn strip_request(
    message: &impl Fields,
    filter: &Filter,
    known_beacon: bool,
    report: &mut Report,
    edits: &mut Edits,
) {
    let enforce = filter.enforces();
    for (name, field) in unwanted(message, filter, report, fields::in_request) {
        let preload = field == Field::Of(Technology::NavigationPreload);
        if preload && message.values(&name).all(|value| value == PRELOAD.as_bytes()) {
            continue;
        }
        report.note_field();
        match (enforce, preload) {
            (false, _) => {}
            (true, true) => edits.set(name, PRELOAD),
            (true, false) => edits.remove(name),
        }
    }
    if known_beacon {
        strip_all(message, &CONDITIONS, filter, report, edits);
    }
}

/// Strips the validators from the response to a beacon: browsers would send them back as an
/// identifier. Returns whether fields were removed.
pub(super) fn strip_validators(
    message: &impl Fields,
    filter: &Filter,
    report: &mut Report,
    edits: &mut Edits,
) -> bool {
    strip_all(message, &[ETAG, LAST_MODIFIED], filter, report, edits)
}

fn strip_all(
    message: &impl Fields,
    names: &[HeaderName],
    filter: &Filter,
    report: &mut Report,
    edits: &mut Edits,
) -> bool {
    let granted = report.consent.granted;
    if filter.settings.technologies.permits(Technology::BeaconETag, granted) {
        return false;
    }
    let mut found = false;
    for name in names.iter().filter(|name| message.has(name)) {
        found = true;
        report.note_field();
        if filter.enforces() {
            edits.remove(name.clone());
        }
    }
    filter.enforces() && found
}

/// The fields without consent and the fields that route elsewhere, without duplicates.
fn unwanted(
    message: &impl Fields,
    filter: &Filter,
    report: &Report,
    field_of: impl Fn(&str) -> Option<Field>,
) -> Vec<(HeaderName, Field)> {
    let granted = report.consent.granted;
    let technologies = &filter.settings.technologies;
    let is_unwanted = |field: &Field| match field {
        Field::Of(technology) => !technologies.permits(*technology, granted),
        Field::Route => technologies.alternative_services == AlternativeServices::Clear,
        Field::OldCookie => !filter.settings.policy.permits_unclassified(granted),
    };
    // An empty vector does not allocate.
    let mut unwanted: Vec<(HeaderName, Field)> = Vec::new();
    for name in message.names() {
        if let Some(field) = field_of(name).filter(is_unwanted)
            && !unwanted.iter().any(|(known, _)| known == name)
            && let Ok(name) = HeaderName::from_bytes(name.as_bytes())
        {
            unwanted.push((name, field));
        }
    }
    unwanted
}

/// Removes a field that routes elsewhere. `clear` makes browsers forget earlier alternative
/// services (RFC 7838 section 3).
fn strip_route(
    message: &impl Fields,
    name: HeaderName,
    report: &mut Report,
    edits: Option<&mut Edits>,
) {
    let clears = name == ALT_SVC;
    if clears && message.values(&name).all(|value| value == CLEAR.as_bytes()) {
        return;
    }
    report.note_field();
    match edits {
        None => {}
        Some(edits) if clears => edits.set(name, CLEAR),
        Some(edits) => edits.remove(name),
    }
}

/// Keeps only low-entropy hints. Returns whether there were others.
fn strip_hints(message: &impl Fields, name: &HeaderName, edits: Option<&mut Edits>) -> bool {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut stripped = false;
    for hint in members(message, name) {
        if fields::is_low_entropy(hint) {
            kept.push(hint);
        } else {
            stripped = true;
        }
    }
    if let Some(edits) = edits.filter(|_| stripped) {
        reporting::replace(edits, name, kept.join(&b", "[..]));
    }
    stripped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Overrides};
    use crate::consent::{CategorySet, Consent};
    use crate::http::FieldSection;

    fn filter(toml: &str) -> Filter {
        let toml = format!("{toml}\n[[site]]\nupstream = 'http://127.0.0.1:1'");
        let config = config::parse(&toml, None, &Overrides::default()).expect("a valid config");
        Filter::new(config.sites[0].filter.clone())
    }

    /// The field lines after these edits.
    fn lines(mut fields: FieldSection, edits: Edits) -> Vec<String> {
        edits.apply(&mut fields);
        let line = |(name, value)| format!("{name}: {}", String::from_utf8_lossy(value));
        let mut lines: Vec<String> = fields.iter().map(line).collect();
        lines.sort();
        lines
    }

    /// The remaining response fields without consent, and the number of stripped ones.
    fn response(toml: &str, fields: &[(&'static str, &'static str)]) -> (Vec<String>, u16) {
        let section = FieldSection::from_lines(fields);
        let mut report = Report::new(Consent::undecided(CategorySet::NECESSARY));
        let mut edits = Edits::default();
        strip_response(&section, &filter(toml), "www.shop.example", &mut report, &mut edits);
        (lines(section, edits), report.technologies_stripped)
    }

    /// Like `response`, for a request.
    fn request(
        toml: &str,
        known_beacon: bool,
        fields: &[(&'static str, &'static str)],
    ) -> (Vec<String>, u16) {
        let section = FieldSection::from_lines(fields);
        let mut report = Report::new(Consent::undecided(CategorySet::NECESSARY));
        let mut edits = Edits::default();
        strip_request(&section, &filter(toml), known_beacon, &mut report, &mut edits);
        (lines(section, edits), report.technologies_stripped)
    }

    #[test]
    fn response_fields_of_tracking_technologies_need_consent() {
        let (left, count) = response(
            "",
            &[
                ("content-type", "text/html"),
                ("nel", r#"{"report_to":"nel","max_age":60}"#),
                ("report-to", r#"{"group":"nel","max_age":60}, {"group":"csp","max_age":60}"#),
                ("attribution-reporting-register-source", "{}"),
                ("observe-browsing-topics", "?1"),
                ("shared-storage-write", "set;key=\"id\";value=\"7\""),
                ("use-as-dictionary", "match=\"/*\", id=\"visitor-7\""),
                ("accept-ch", "Sec-CH-UA, Sec-CH-UA-Model, Save-Data"),
                ("critical-ch", "Sec-CH-UA-Model"),
                ("set-cookie2", "id=7; Version=1"),
            ],
        );
        assert_eq!(
            left,
            [
                "accept-ch: Sec-CH-UA, Save-Data",
                "content-type: text/html",
                r#"report-to: {"group":"csp","max_age":60}"#,
            ]
        );
        assert_eq!(count, 8);
    }

    #[test]
    fn request_fields_of_tracking_technologies_need_consent() {
        let fields = [
            ("accept", "*/*"),
            ("available-dictionary", ":pZGm1Av0IEBKARczz7exkNYsZb8LzaMrV7J32a2fFG4=:"),
            ("dictionary-id", "\"visitor-7\""),
            ("sec-browsing-topics", "(1);v=chrome.1"),
            ("sec-ch-ua", "\"Chromium\""),
            ("sec-ch-ua-model", "\"Pixel 9\""),
            ("service-worker-navigation-preload", "visitor-7"),
            ("cookie2", "$Version=1"),
            ("x-uidh", "OTgxNTk2NDk0AD"),
            ("if-none-match", "\"visitor-7\""),
        ];
        let left = [
            "accept: */*",
            "if-none-match: \"visitor-7\"",
            "sec-ch-ua: \"Chromium\"",
            "service-worker-navigation-preload: true",
        ];
        let (page, count) = request("", false, &fields);
        assert_eq!((page.as_slice(), count), (&left.map(str::to_owned)[..], 7));
        let (beacon, _) = request("", true, &fields);
        assert!(!beacon.iter().any(|line| line.starts_with("if-none-match")), "{beacon:?}");
        let (unchosen, count) =
            request("", false, &[("service-worker-navigation-preload", "true")]);
        assert_eq!((unchosen.len(), count), (1, 0));
    }

    #[test]
    fn observe_mode_counts_fields_without_changing_them() {
        let fields = [("alt-svc", "h3=\":443\""), ("accept-ch", "DPR"), ("nel", "{}")];
        let (left, count) = response("mode = 'observe'", &fields);
        assert_eq!((left, count), (lines(FieldSection::from_lines(&fields), Edits::default()), 3));
        let fields = [("dpr", "2"), ("alt-used", "a.example"), ("cookie2", "x")];
        let (left, count) = request("mode = 'observe'", true, &fields);
        assert_eq!((left, count), (lines(FieldSection::from_lines(&fields), Edits::default()), 3));
    }

    #[test]
    fn low_entropy_hints_and_other_reports_are_unchanged() {
        let fields = [("accept-ch", "sec-ch-ua,save-data"), ("report-to", r#"{"group":"csp"}"#)];
        let (left, count) = response("", &fields);
        assert_eq!((left, count), (lines(FieldSection::from_lines(&fields), Edits::default()), 0));
    }

    #[test]
    fn each_technology_has_its_category_and_passes_when_off() {
        let fields = [("nel", "{}"), ("set-login", "logged-in"), ("secure-session-challenge", "x")];
        let (left, _) = response("", &fields);
        assert_eq!(left, ["secure-session-challenge: x", "set-login: logged-in"]);
        let toml = "[technologies]\nnel = 'off'\nlogin_status = 'functional'\n\
                    device_bound_sessions = 'functional'";
        assert_eq!(response(toml, &fields), (vec!["nel: {}".to_owned()], 2));
        let (left, _) = request(toml, false, &[("sec-secure-session-id", "7")]);
        assert_eq!(left, [""; 0]);
    }

    #[test]
    fn fields_that_lead_to_another_server_are_removed_regardless_of_consent() {
        let fields = [
            ("alt-svc", "h3=\":8443\"; ma=2592000"),
            ("alt-svc", "h2=\"origin.test:443\""),
            ("alternate-protocol", "443:quic"),
            ("onion-location", "http://shop.onion/"),
        ];
        assert_eq!(response("", &fields), (vec!["alt-svc: clear".to_owned()], 3));
        let granted = "[consent]\ndefault = 'allow'";
        assert_eq!(response(granted, &fields).0, ["alt-svc: clear"]);
        let keep = "technologies.alternative_services = 'keep'";
        assert_eq!(
            response(keep, &fields),
            (lines(FieldSection::from_lines(&fields), Edits::default()), 0)
        );
        assert_eq!(response("", &[("alt-svc", "clear")]), (vec!["alt-svc: clear".to_owned()], 0));
        assert_eq!(request("", false, &[("alt-used", "origin.test")]).0, [""; 0]);
        assert_eq!(request(keep, false, &[("alt-used", "origin.test")]).0.len(), 1);
    }

    #[test]
    fn third_party_reports_need_consent_and_first_party_reports_pass() {
        let endpoints = r#"own="/reports", sub="https://r.shop.example/x", "#;
        let foreign = r#"a="https://collector.example/7", b="//tracker.test/7";x=1, c=unread"#;
        let both: &'static str = Box::leak(format!("{endpoints}{foreign}").into_boxed_str());
        let (left, count) = response("", &[("reporting-endpoints", both)]);
        let own = r#"reporting-endpoints: own="/reports", sub="https://r.shop.example/x""#;
        assert_eq!((left, count), (vec![own.to_owned()], 1));

        let groups = r#"{"group":"a","endpoints":[{"url":"https://www.shop.example/r"}]}, {"group":"b","endpoints":[{"url":"https://www.shop.example/r"},{"url":"https://tracker.test/"}]}"#;
        let (left, _) = response("", &[("report-to", groups)]);
        assert!(left[0].contains("\"a\"") && !left[0].contains("tracker"), "{left:?}");
        assert_eq!(response("", &[("report-to", "{unreadable")]).0, [""; 0]);

        let off = "technologies.reporting = 'off'";
        assert_eq!(response(off, &[("reporting-endpoints", both)]).1, 0);
    }
}
