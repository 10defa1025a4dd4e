//! Tightens `Permissions-Policy` and `Referrer-Policy` of pages without consent.
//!
//! The origin's own policy is never weakened.

use http::header::{CONTENT_TYPE, HeaderName, REFERRER_POLICY};

use super::edits::Edits;
use super::site_filter::Filter;
use crate::config::settings::Technology;
use crate::consent::CategorySet;
use crate::http::{Fields, members, split_outside_quotes, without_parameters};

static PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

/// Features for advertising that pages and their scripts can use without a header field.
const FEATURES: [&str; 4] =
    ["browsing-topics", "attribution-reporting", "join-ad-interest-group", "run-ad-auction"];

/// The policy of pages with a weaker one, or none. Other sites get the origin of the page only.
const STRICT: &str = "strict-origin-when-cross-origin";

/// Policies that send other sites the whole URL, or the origin of an https page over plain http.
const WEAKER: [&str; 3] = ["unsafe-url", "no-referrer-when-downgrade", "origin-when-cross-origin"];

/// The other policies (W3C Referrer Policy section 3). Browsers ignore unknown ones.
const STRICTER: [&str; 5] = [STRICT, "no-referrer", "origin", "same-origin", "strict-origin"];

/// Tightens the policies in the head of an HTML page. Returns whether it was changed.
pub(super) fn tighten(
    fields: &impl Fields,
    filter: &Filter,
    granted: CategorySet,
    edits: &mut Edits,
) -> bool {
    let technologies = &filter.settings.technologies;
    let lacks = |technology| !technologies.permits(technology, granted);
    let (permissions, referrer) =
        (lacks(Technology::PermissionsPolicy), lacks(Technology::ReferrerPolicy));
    if !permissions && !referrer || !filter.enforces() || !is_html(fields) {
        return false;
    }
    let permissions = missing_features(fields).filter(|_| permissions);
    let referrer = referrer && has_weak_referrer_policy(fields);
    let is_changed = permissions.is_some() || referrer;
    if let Some(line) = permissions {
        // The origin's lines stay: browsers combine all of them.
        edits.append(PERMISSIONS_POLICY.clone(), line);
    }
    if referrer {
        edits.set(REFERRER_POLICY, STRICT);
    }
    is_changed
}

fn is_html(fields: &impl Fields) -> bool {
    let mut types = fields.values(&CONTENT_TYPE).map(without_parameters);
    types.any(|media_type| media_type.eq_ignore_ascii_case(b"text/html"))
}

/// A list that denies the features which the origin's policy does not name. `None` if it names all.
fn missing_features(fields: &impl Fields) -> Option<String> {
    let named = |feature: &&str| {
        let members = fields.values(&PERMISSIONS_POLICY).flat_map(split_outside_quotes);
        let mut names = members.map(feature_name);
        names.any(|name| name == feature.as_bytes())
    };
    let missing = FEATURES.iter().filter(|feature| !named(feature));
    let denied: Vec<String> = missing.map(|feature| format!("{feature}=()")).collect();
    (!denied.is_empty()).then(|| denied.join(", "))
}

/// The key of a dictionary member (RFC 9651 section 3.2).
fn feature_name(member: &[u8]) -> &[u8] {
    let end = member.iter().position(|byte| matches!(byte, b'=' | b';'));
    member.get(..end.unwrap_or(member.len())).unwrap_or_default().trim_ascii()
}

/// Whether the policy in force is weaker than [`STRICT`]. Of several policies, the last known one is
/// in force. Without any, the default of the browser is.
fn has_weak_referrer_policy(fields: &impl Fields) -> bool {
    let is = |policy: &[u8], known: &[&str]| {
        known.iter().any(|known| policy.eq_ignore_ascii_case(known.as_bytes()))
    };
    let mut policies = members(fields, &REFERRER_POLICY);
    let policy = policies.rfind(|policy| is(policy, &WEAKER) || is(policy, &STRICTER));
    policy.is_none_or(|policy| is(policy, &WEAKER))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::{self, Overrides};
    use crate::consent::Category;
    use crate::http::FieldSection;

    const BOTH: &str =
        "technologies.permissions_policy = 'targeting'\ntechnologies.referrer_policy = 'targeting'";
    const DENIED: &str = "browsing-topics=(), attribution-reporting=(), join-ad-interest-group=(), run-ad-auction=()";

    fn filter(toml: &str) -> Filter {
        let toml = format!("catalogue = []\n{toml}\n[[site]]\nupstream = 'http://127.0.0.1:1'");
        let config = config::parse(&toml, None, &Overrides::default()).expect("a valid config");
        Filter::new(config.sites[0].filter.clone())
    }

    fn tightened(filter: &Filter, fields: &[(&str, &str)]) -> (bool, FieldSection) {
        let mut section = FieldSection::from_lines(fields);
        let mut edits = Edits::default();
        let is_changed = tighten(&section, filter, CategorySet::NECESSARY, &mut edits);
        edits.apply(&mut section);
        (is_changed, section)
    }

    #[test]
    fn features_that_the_origin_names_keep_its_value() {
        let filter = filter(BOTH);
        for (lines, added) in [
            (&[][..], Some(DENIED)),
            (&["geolocation=()"], Some(DENIED)),
            (
                &["browsing-topics=(self \"https://a.test,run-ad-auction=()\"), camera=()"],
                Some("attribution-reporting=(), join-ad-interest-group=(), run-ad-auction=()"),
            ),
            (
                &["browsing-topics , run-ad-auction=*;report-to=x", "join-ad-interest-group;a=1"],
                Some("attribution-reporting=()"),
            ),
            (&[DENIED], None),
        ] {
            let mut fields: Vec<(&str, &str)> =
                lines.iter().map(|line| ("permissions-policy", *line)).collect();
            fields.push(("content-type", "text/HTML; charset=utf-8"));
            fields.push(("referrer-policy", "no-referrer"));
            let (is_changed, section) = tightened(&filter, &fields);
            let expected: Vec<&str> = lines.iter().copied().chain(added).collect();
            assert_eq!(section.texts("permissions-policy"), expected);
            assert_eq!(is_changed, added.is_some(), "{lines:?}");
        }
    }

    #[test]
    fn a_missing_or_weaker_referrer_policy_becomes_strict() {
        let filter = filter(BOTH);
        for (lines, expected) in [
            (&[][..], &[STRICT][..]),
            (&["unsafe-url"], &[STRICT]),
            (&["No-Referrer-When-Downgrade"], &[STRICT]),
            (&["no-referrer, origin-when-cross-origin"], &[STRICT]),
            (&["no-referrer", "unsafe-url"], &[STRICT]),
            (&["sometimes", ""], &[STRICT]),
            (&["unsafe-url, same-origin, sometimes"], &["unsafe-url, same-origin, sometimes"]),
            (&["unsafe-url", "strict-origin"], &["unsafe-url", "strict-origin"]),
            (&["no-referrer"], &["no-referrer"]),
            (&["origin"], &["origin"]),
            (&[STRICT], &[STRICT]),
        ] {
            let mut fields: Vec<(&str, &str)> =
                lines.iter().map(|line| ("referrer-policy", *line)).collect();
            fields.push(("content-type", "text/html"));
            assert_eq!(tightened(&filter, &fields).1.texts("referrer-policy"), expected);
        }
    }

    #[test]
    fn only_pages_without_consent_change_and_only_with_the_key() {
        let html = ("content-type", "text/html");
        let unchanged = |toml: &str, fields: &[(&str, &str)]| !tightened(&filter(toml), fields).0;
        assert!(unchanged("", &[html]), "off by default");
        assert!(unchanged(&format!("mode = 'observe'\n{BOTH}"), &[html]));
        assert!(unchanged(BOTH, &[("content-type", "image/png")]));
        assert!(unchanged(BOTH, &[]));
        let (_, section) = tightened(&filter("technologies.referrer_policy = 'social'"), &[html]);
        assert!(section.has(&REFERRER_POLICY) && !section.has(&PERMISSIONS_POLICY));
        let (_, section) =
            tightened(&filter("technologies.permissions_policy = 'social'"), &[html]);
        assert!(!section.has(&REFERRER_POLICY) && section.has(&PERMISSIONS_POLICY));
        let granted = [Category::NECESSARY, Category::TARGETING].into_iter().collect();
        let section = FieldSection::from_lines(&[html]);
        assert!(!tighten(&section, &filter(BOTH), granted, &mut Edits::default()));
    }

    proptest! {
        #[test]
        fn lines_of_the_origin_stay_and_a_second_pass_changes_nothing(
            lines in proptest::collection::vec(
                "((browsing-topics|run-ad-auction|camera)?(=\\(\\)|=\\*|;a|\"|,| |self){0,4}[,]?){0,3}",
                0..4,
            ),
        ) {
            let filter = filter("technologies.permissions_policy = 'targeting'");
            let mut fields = vec![("content-type", "text/html")];
            fields.extend(lines.iter().map(|line| ("permissions-policy", line.as_str())));
            let (_, once) = tightened(&filter, &fields);
            let found = once.texts("permissions-policy");
            prop_assert!(found.starts_with(&lines));
            let again: Vec<(&str, &str)> = std::iter::once(("content-type", "text/html"))
                .chain(found.iter().map(|line| ("permissions-policy", line.as_str())))
                .collect();
            prop_assert!(!tightened(&filter, &again).0, "{found:?}");
        }
    }
}
