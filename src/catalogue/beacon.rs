//! Beacon rules: requests that only report data to a tracker, matched by path and conditions.

use std::fmt;

use http::Method;
use http::header::{ACCEPT, HeaderName};

use super::beacon_path::PathInterpretation;
use super::query_parameter::QueryParameter;
use super::{BodyPattern, BodyStart, Entry, Pattern, RulePriority, glob};
use crate::http::{Destination, SEC_FETCH_MODE, without_parameters};

/// A beacon rule. All of its conditions must match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeaconRule {
    /// The path without query, percent-decoded (see [`rule_path`](super::rule_path)).
    pub path: Pattern,
    /// Required method.
    pub method: Option<Method>,
    /// Required query parameters. All of them must be present.
    pub query: Vec<QueryParameter>,
    /// Required `Sec-Fetch-Dest`.
    pub fetch_dest: Option<String>,
    /// Required `Sec-Fetch-Mode`.
    pub fetch_mode: Option<String>,
    /// Required value of `Accept`, the whole field.
    pub accept: Option<String>,
    /// Required header field, with any value.
    pub header: Option<HeaderName>,
    /// Required media type in `Content-Type`, without parameters.
    pub content_type: Option<String>,
    /// Required start of the body.
    pub body: Option<BodyPattern>,
    /// An image in an e-mail that reports that the e-mail was opened. Mail clients send no consent
    /// cookie, so the site has a separate setting for these beacons.
    pub email_open: bool,
    /// Page loads are blocked too.
    pub navigation: bool,
    /// The origin of the rule.
    pub tier: RulePriority,
    /// The number among the rules of its catalogue, assigned by the catalogue.
    pub number: usize,
    /// Category and description.
    pub entry: Entry,
}

/// Looks up a header field of a request by name.
#[derive(Clone, Copy)]
pub struct FieldLookup<'a>(pub &'a dyn Fn(&HeaderName) -> Option<&'a [u8]>);

impl fmt::Debug for FieldLookup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FieldLookup")
    }
}

impl FieldLookup<'_> {
    /// A request without further fields.
    pub const NONE: Self = Self(&|_| None);
}

/// The request data that beacon rules match.
#[derive(Debug, Clone, Copy)]
pub struct BeaconProbe<'a> {
    /// The method.
    pub method: &'a Method,
    /// The requested host, without port.
    pub host: Option<&'a str>,
    /// The path, as sent.
    pub path: &'a str,
    /// The query without `?`, as sent.
    pub query: Option<&'a str>,
    /// The value of `Sec-Fetch-Dest`.
    pub fetch_dest: Option<&'a [u8]>,
    /// The value of `Content-Type`.
    pub content_type: Option<&'a [u8]>,
    /// The other fields.
    pub fields: FieldLookup<'a>,
    /// The start of the body.
    pub body: BodyStart<'a>,
    /// The request is a navigation: the spelling of its path must match exactly.
    pub navigation: bool,
}

impl BeaconRule {
    /// Whether the rule matches a request whose path an origin may interpret like this. `None` if
    /// not; otherwise, whether the spelling is identical to the rule's.
    ///
    /// Some origins ignore case and a trailing slash. Such variants never match for navigations,
    /// because the origin may serve another page at that path. They never match for images in
    /// e-mails either, because no script loads those.
    pub(super) fn fits(
        &self,
        probe: &BeaconProbe<'_>,
        reading: PathInterpretation<'_>,
    ) -> Option<bool> {
        let folds = !probe.navigation && !self.email_open && !self.path.has_upper();
        let sent = probe.query.unwrap_or_default();
        if !self.allows_path_info(reading)
            || !self.query.iter().all(|parameter| parameter.is_in(sent, folds))
        {
            return None;
        }
        let spelled = glob::matches(&self.path, reading.path);
        (folds || spelled).then_some(spelled)
    }

    /// Whether the rule applies to page loads: visitors follow links to paths that look like a
    /// beacon's.
    pub(crate) fn matches_navigations(&self) -> bool {
        let page = |dest: &str| Destination::named(dest.as_bytes()).is_page();
        self.navigation || self.fetch_dest.as_deref().is_some_and(page)
    }

    /// Whether the rule matches images with arbitrary file names. Ordinary images may have such
    /// paths too, so only the origin's response decides.
    pub(crate) fn is_wide_image_rule(&self) -> bool {
        let file = self.path.as_str().rsplit('/').next().unwrap_or_default();
        let (stem, extension) = file.rsplit_once('.').unwrap_or_default();
        let images = ["gif", "png", "jpg", "jpeg", "webp", "avif", "bmp", "svg"];
        stem.contains(['*', '{']) && images.contains(&extension)
    }

    /// On some sites, an `index` script serves every page via path info. Such a path needs another
    /// condition to count as a beacon.
    fn allows_path_info(&self, reading: PathInterpretation<'_>) -> bool {
        let script = reading.path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let is_index = script.get(..6).is_some_and(|start| start.eq_ignore_ascii_case(b"index."));
        !(reading.cut && is_index) || self.conditions() > 0
    }

    /// Whether the conditions that do not depend on the path match. The query is only checked for presence.
    pub(super) fn is_candidate(&self, probe: &BeaconProbe<'_>) -> bool {
        if probe.query.is_none() && !self.query.is_empty() {
            return false;
        }
        // HEAD corresponds to GET, and OPTIONS is the preflight of another method.
        let method = self.method.as_ref().is_none_or(|method| {
            method == probe.method
                || probe.method == Method::OPTIONS
                || (probe.method == Method::HEAD && method == Method::GET)
        });
        let fetch_dest = || {
            self.fetch_dest.as_deref().is_none_or(|expected| {
                probe.fetch_dest.is_some_and(|dest| dest == expected.as_bytes())
            })
        };
        let content_type = || {
            self.content_type.as_deref().is_none_or(|expected| {
                let media_type = probe.content_type.map(without_parameters);
                media_type.is_some_and(|sent| sent.eq_ignore_ascii_case(expected.as_bytes()))
            })
        };
        let field = |name: &HeaderName, expected: Option<&str>| {
            expected.is_none_or(|expected| {
                (probe.fields.0)(name).is_some_and(|value| value == expected.as_bytes())
            })
        };
        method
            && fetch_dest()
            && content_type()
            && field(&SEC_FETCH_MODE, self.fetch_mode.as_deref())
            && field(&ACCEPT, self.accept.as_deref())
            && self.header.as_ref().is_none_or(|name| (probe.fields.0)(name).is_some())
            && self.body.as_ref().is_none_or(|pattern| probe.body.may_match(pattern))
    }

    /// Number of conditions other than the path. More conditions are more specific.
    pub(super) fn conditions(&self) -> usize {
        let Self {
            method, query, fetch_dest, content_type, fetch_mode, accept, header, body, ..
        } = self;
        let others = [fetch_dest, content_type, fetch_mode, accept];
        query.len()
            + usize::from(method.is_some())
            + usize::from(header.is_some())
            + usize::from(body.is_some())
            + others.iter().filter(|condition| condition.is_some()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Catalogue;
    use crate::consent::Category;

    fn rule(path: &str) -> BeaconRule {
        BeaconRule {
            path: Pattern::new(path).expect("a valid pattern"),
            method: None,
            query: Vec::new(),
            fetch_dest: None,
            fetch_mode: None,
            accept: None,
            header: None,
            content_type: None,
            body: None,
            email_open: false,
            navigation: false,
            tier: RulePriority::Catalogue(0),
            number: 0,
            entry: Entry::new(Category::ANALYTICS),
        }
    }

    fn probe(path: &str) -> BeaconProbe<'_> {
        let (path, query) = path.split_once('?').map_or((path, None), |(p, q)| (p, Some(q)));
        BeaconProbe {
            method: &Method::GET,
            host: None,
            path,
            query,
            fetch_dest: None,
            content_type: None,
            fields: FieldLookup::NONE,
            body: BodyStart::Unavailable,
            navigation: false,
        }
    }

    #[test]
    fn an_image_rule_without_a_file_name_is_wide() {
        for (path, wide) in [
            ("/email/*.gif", true),
            ("/o/{hex:8}.png", true),
            ("/campaign/*/px.png", false),
            ("*/mail-open.gif", false),
            ("/b/ss/*", false),
            ("/x*.php", false),
        ] {
            assert_eq!(rule(path).is_wide_image_rule(), wide, "{path}");
        }
    }

    #[test]
    fn beacons_match_in_every_spelling_an_origin_may_accept() {
        let mut with_query = rule("/wp-admin/admin-ajax.php");
        with_query.query = vec![QueryParameter::new("action=hit_record").expect("valid")];
        let rules = [rule("/matomo.php"), rule("/b/ss/*"), rule("/collect"), with_query];
        let catalogue = Catalogue::compile([], rules);
        for path in [
            "/matomo.php",
            "/matomo.php?rec=1",
            "//matomo.php",
            "/x/../matomo.php",
            "/./matomo.php",
            "/%6Datomo%2Ephp",
            "/matomo.php/x",
            "/matomo.php/x/y.gif?rec=1",
            "/matomo.php/",
            "/matomo%2ephp%2fx",
            "/MATOMO.php",
            "/Matomo.PHP/x",
            "/matomo.php;a",
            "/matomo.php;a=1/b",
            "/x/..;/matomo.php",
            "/x\\..\\matomo.php",
            "/matomo.php.",
            "/matomo.php%20",
            "/b/ss/x/1",
            "/b//ss/x",
            "/b/ss/",
            "/b;x/ss;y/x",
            "/collect/",
            "/Collect",
            "/collect;jsessionid=1",
            "/collect%3Ba",
            "/wp-admin/admin-ajax.php?%61ction=hit%5Frecord",
            "/wp-admin/admin-ajax.php?x=1;action=hit_record",
            "/wp-admin/admin-ajax.php?+action=hit_record",
            "/wp-admin/admin-ajax.php/x?Action=Hit_Record",
        ] {
            assert!(catalogue.beacon(&probe(path)).is_some(), "{path}");
        }
        for path in [
            "/",
            "/matomo.phpx",
            "/matomo.php.bak",
            "/xmatomo.php",
            "/b/ss",
            "/matomo.php%",
            "/collect/x",
            "/collection",
            "/matomo%252ephp",
            "/wp-admin/admin-ajax.php?action=hit_recorder",
            "/wp-admin/admin-ajax.php?action%3Dhit_record",
            "/wp-admin/admin-ajax.php?xaction=hit_record",
        ] {
            assert!(catalogue.beacon(&probe(path)).is_none(), "{path}");
        }
    }

    #[test]
    fn pages_match_only_in_the_spelling_of_the_rule() {
        let mut pixel = rule("/email/*.gif");
        pixel.email_open = true;
        let mut image = rule("/index.php");
        image.query = vec![QueryParameter::new("entryPoint=image").expect("valid")];
        let rules = [rule("/track/*"), rule("/I"), rule("/matomo.php"), pixel, image];
        let catalogue = Catalogue::compile([], rules);
        let page = |path| catalogue.beacon(&BeaconProbe { navigation: true, ..probe(path) });
        for path in ["/Track/orders", "/i", "/I/", "/index.php/Title", "/index.php/a?x=1"] {
            assert!(page(path).is_none(), "{path}");
        }
        for path in
            ["/track/x", "/I", "/matomo.php/x", "/matomo%2Ephp", "/index.php/a?entryPoint=image"]
        {
            assert!(page(path).is_some(), "{path}");
        }
        assert!(catalogue.beacon(&probe("/Track/x")).is_some());
        assert!(catalogue.beacon(&probe("/email/1.gif")).is_some());
        assert!(catalogue.beacon(&probe("/Email/Header.gif")).is_none(), "a picture in an e-mail");
        let index = Catalogue::compile([], [rule("/index.php")]);
        assert!(index.beacon(&probe("/index.php")).is_some());
        assert!(index.beacon(&probe("/index.php/cart")).is_none(), "a front controller's page");
    }

    #[test]
    fn the_rule_with_the_spelling_of_the_request_wins() {
        let mut necessary = rule("/Track/x");
        necessary.entry.category = Category::NECESSARY;
        let catalogue =
            Catalogue::compile([], [rule("/track/x"), necessary, rule("/tr/"), rule("/tr")]);
        let category = |path| catalogue.beacon(&probe(path)).map(|rule| rule.entry.category);
        assert_eq!(category("/Track/x"), Some(Category::NECESSARY));
        assert_eq!(category("/track/x"), Some(Category::ANALYTICS));
        let path = |path| catalogue.beacon(&probe(path)).map(|rule| rule.path.as_str());
        assert_eq!((path("/tr"), path("/tr/")), (Some("/tr"), Some("/tr/")));
    }

    /// An equivalent spelling of a path: characters escaped or not, slashes doubled.
    fn disguise(path: &str, choices: &[u8]) -> String {
        let mut choices = choices.iter().cycle();
        let mut disguised = String::new();
        for byte in path.bytes() {
            match (byte, choices.next().copied().unwrap_or_default() % 4) {
                (b'/', 1) => disguised.push_str("//"),
                (b'/', 2) => disguised.push_str("/./"),
                (b'/', 3) => disguised.push_str("/x/../"),
                (_, 1) => disguised.push_str(&format!("%{byte:02X}")),
                (_, 2) => disguised.push_str(&format!("%{byte:02x}")),
                _ => disguised.push(char::from(byte)),
            }
        }
        disguised
    }

    proptest::proptest! {
        #[test]
        fn disguised_beacons_match_and_disguised_pages_do_not(
            choices in proptest::collection::vec(proptest::prelude::any::<u8>(), 1..40),
            navigation: bool,
        ) {
            let catalogue = Catalogue::compile([], [rule("/matomo.php"), rule("/b/ss/*")]);
            for (path, beacon) in
                [("/matomo.php", true), ("/b/ss/1/x", true), ("/shop/item", false), ("/b/s", false)]
            {
                let disguised = disguise(path, &choices);
                let probe = BeaconProbe { navigation, ..probe(&disguised) };
                let found = catalogue.beacon(&probe).is_some();
                proptest::prop_assert_eq!(found, beacon, "{}", disguised);
            }
        }
    }

    #[test]
    fn all_conditions_must_match_and_rules_with_more_conditions_win() {
        let mut strict = rule("/collect");
        strict.method = Some(Method::POST);
        strict.query = vec![QueryParameter::new("v=2").expect("valid")];
        strict.entry.category = Category::TARGETING;
        let catalogue = Catalogue::compile([], [rule("/collect"), strict]);
        let category = |method: &Method, path: &str| {
            let probe = BeaconProbe { method, ..probe(path) };
            catalogue.beacon(&probe).map(|rule| rule.entry.category)
        };
        assert_eq!(category(&Method::POST, "/collect?a&v=2"), Some(Category::TARGETING));
        assert_eq!(category(&Method::OPTIONS, "/collect?v=2"), Some(Category::TARGETING));
        assert_eq!(category(&Method::POST, "/collect?v=22"), Some(Category::ANALYTICS));
        assert_eq!(category(&Method::GET, "/collect?v=2"), Some(Category::ANALYTICS));
    }

    #[test]
    fn a_get_rule_matches_head_and_every_rule_matches_its_preflight() {
        let fits = |of_rule: Method, method: &Method| {
            let mut of_method = rule("/collect");
            of_method.method = Some(of_rule);
            let probe = BeaconProbe { method, ..probe("/collect") };
            Catalogue::compile([], [of_method]).beacon(&probe).is_some()
        };
        for (of_rule, method, expected) in [
            (Method::GET, Method::GET, true),
            (Method::GET, Method::HEAD, true),
            (Method::GET, Method::OPTIONS, true),
            (Method::GET, Method::POST, false),
            (Method::POST, Method::HEAD, false),
            (Method::POST, Method::OPTIONS, true),
            (Method::HEAD, Method::GET, false),
        ] {
            assert_eq!(fits(of_rule.clone(), &method), expected, "{of_rule} {method}");
        }
    }

    #[test]
    fn a_rule_that_does_not_match_does_not_hide_other_rules() {
        let at = |path: &str, tier, category| {
            let mut rule = rule(path);
            (rule.tier, rule.entry.category) = (tier, category);
            rule
        };
        let mut of_site = at("/collect", RulePriority::Site, Category::SOCIAL);
        of_site.method = Some(Method::POST);
        let rules = [
            at("/collect", RulePriority::Catalogue(0), Category::ANALYTICS),
            at("/col*", RulePriority::Config, Category::TARGETING),
            of_site,
        ];
        let found = |rules: [BeaconRule; 3], method: &Method| {
            let catalogue = Catalogue::compile([], rules);
            let probe = BeaconProbe { method, ..probe("/collect") };
            catalogue.beacon(&probe).map(|rule| rule.entry.category)
        };
        let [a, b, c] = rules;
        for rules in [[a.clone(), b.clone(), c.clone()], [c, b, a]] {
            assert_eq!(found(rules.clone(), &Method::POST), Some(Category::SOCIAL));
            assert_eq!(found(rules, &Method::GET), Some(Category::TARGETING));
        }
    }

    #[test]
    fn rules_rank_by_tier_then_spelling_then_pattern_then_order() {
        let found = |rules: &[(&str, RulePriority)], path: &str| {
            let rules: Vec<BeaconRule> =
                rules.iter().map(|(path, tier)| BeaconRule { tier: *tier, ..rule(path) }).collect();
            let catalogue = Catalogue::compile([], rules);
            catalogue.beacon(&probe(path)).map(|rule| rule.number)
        };
        let (file, config, site) =
            (RulePriority::Catalogue(0), RulePriority::Config, RulePriority::Site);
        for (rules, path, number) in [
            (&[("/Track/x", file), ("/track/x", site)][..], "/Track/x", 1),
            (&[("/t.php/x", file), ("/t.php", config)], "/t.php/x", 1),
            (&[("/tr/", file), ("/tr", site)], "/tr/", 1),
            (&[("/collect", file), ("/c*", config)], "/collect", 1),
            (&[("/track/x", file), ("/Track/*", file)], "/Track/x", 1),
            (&[("/a*", file), ("/a*", file)], "/ab", 1),
            (&[("/ab*", file), ("/a*", file)], "/ab", 0),
            (&[("/x/{upper:3}", file)], "/x/ABC", 0),
        ] {
            assert_eq!(found(rules, path), Some(number), "{rules:?} {path}");
        }
        assert_eq!(found(&[("/x/{upper:3}", file)], "/x/abc"), None);
    }

    #[test]
    fn pings_are_detected_by_media_type() {
        let mut ping = rule("/*");
        ping.content_type = Some("text/ping".to_owned());
        let catalogue = Catalogue::compile([], [ping]);
        let with = |content_type| BeaconProbe { content_type, ..probe("/anything") };
        assert!(catalogue.beacon(&with(Some(b"Text/Ping; charset=x"))).is_some());
        assert!(catalogue.beacon(&with(Some(b"text/plain"))).is_none());
        assert!(catalogue.beacon(&with(None)).is_none());
    }
}
