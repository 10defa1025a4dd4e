//! Real consent cookies through `consentry consent`, one sample per line.

use std::fmt::Write;

use crate::support::run;

const SAMPLES: &str = concat!(
    include_str!("../data/consent-samples.jsonl"),
    include_str!("../data/more-consent-samples.jsonl")
);

/// A config for one sample.
fn config(sample: &serde_json::Value) -> String {
    let tool = sample["cmp"].as_str().unwrap();
    let mut toml = format!(
        "catalogue = []\n[consent]\nsources = ['{tool}']\nmax_age_days = 36500\nnotice_date = 2018-05-25\n"
    );
    if let Some(default) = sample["default"].as_str() {
        writeln!(toml, "default = '{default}'").unwrap();
    }
    if tool != "auto" {
        writeln!(toml, "[consent.{tool}]").unwrap();
    }
    if let Some(map) = sample["config"]["map"].as_object() {
        let entries: Vec<String> =
            map.iter().map(|(id, category)| format!("\"{id}\" = {category}")).collect();
        writeln!(toml, "map = {{ {} }}", entries.join(", ")).unwrap();
    }
    if let Some(more) = sample["toml"].as_str() {
        writeln!(toml, "{more}").unwrap();
    }
    if !sample["config"]["revision"].is_null() {
        writeln!(toml, "revision = {}", sample["config"]["revision"]).unwrap();
    }
    writeln!(toml, "[[site]]\nupstream = 'http://127.0.0.1:1'").unwrap();
    toml
}

#[test]
fn every_sample_consent_cookie_has_the_meaning_of_its_tool() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.toml");
    let mut read = 0;
    let mut wrong = Vec::new();
    for line in SAMPLES.lines() {
        let sample: serde_json::Value = serde_json::from_str(line).unwrap();
        read += 1;
        std::fs::write(&path, config(&sample)).unwrap();
        let header = sample["cookie_header"].as_str().unwrap();
        let (code, out, error) =
            run(&["consent", "--config", path.to_str().unwrap(), "--at", "2026-12-01", header], "");
        assert_eq!(code, 0, "{line}\n{error}");
        let found: serde_json::Value = serde_json::from_str(&out).unwrap();
        let granted: Vec<&str> = found["granted"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap())
            .collect();
        let right = match sample["expect"].as_object() {
            None => found["decided"] == false,
            Some(expected) => {
                let fits = |(category, answer): (&String, &serde_json::Value)| {
                    answer
                        .as_bool()
                        .is_none_or(|answer| granted.contains(&category.as_str()) == answer)
                };
                found["decided"] == true && expected.iter().all(fits)
            }
        };
        if !right {
            wrong.push(format!(
                "{}: {} expected {}, found {found}",
                sample["cmp"], sample["how"], sample["expect"]
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {read}: {wrong:#?}", wrong.len());
    assert!(read > 450, "{read}");
}

/// `check` and the documentation name the sources without a time, whose consent ends with the cookie.
#[test]
fn the_cookies_of_a_tool_contain_a_time_if_its_lifetime_is_in_days_and_only_then() {
    use consentry::config::{self, Overrides};
    use consentry::consent::Signals;
    use consentry::consent::sources::{GrantLifetime, TOOLS};
    use consentry::cookie::Cookies;
    let mut timed = std::collections::BTreeSet::new();
    for line in SAMPLES.lines() {
        let sample: serde_json::Value = serde_json::from_str(line).unwrap();
        let config = config::parse(&config(&sample), None, &Overrides::default()).unwrap();
        let cookies = Cookies::new([sample["cookie_header"].as_str().unwrap().as_bytes()]);
        let reader = &config.sites[0].filter.reader;
        let consent = reader.read(&cookies, Signals::default(), None, 1_796_083_200);
        if consent.is_decided() && consent.decided_at.is_some() {
            timed.insert(sample["cmp"].as_str().unwrap().to_owned());
        }
    }
    let others =
        |tool: &&consentry::consent::sources::Tool| !matches!(tool.name, "consentry" | "generic");
    for tool in TOOLS.iter().filter(others) {
        let expected = match tool.lifetime {
            GrantLifetime::Days(_) => true,
            GrantLifetime::Cookie => false,
            // Some of these cookies contain the end only.
            GrantLifetime::Written => continue,
        };
        assert_eq!(timed.contains(tool.name), expected, "{}", tool.name);
    }
}

/// Refusals in a tool's cookie also count if the default allows: they never follow the default.
#[test]
fn sample_refusals_and_grants_apply_for_any_default() {
    use consentry::config::{self, Overrides};
    use consentry::consent::Signals;
    use consentry::cookie::Cookies;
    for line in SAMPLES.lines() {
        let mut sample: serde_json::Value = serde_json::from_str(line).unwrap();
        sample["default"] = "allow".into();
        let config = config::parse(&config(&sample), None, &Overrides::default()).unwrap();
        let reader = &config.sites[0].filter.reader;
        let cookies = Cookies::new([sample["cookie_header"].as_str().unwrap().as_bytes()]);
        let consent = reader.read(&cookies, Signals::default(), None, 1_796_083_200);
        let granted = reader.categories.names_of(consent.granted);
        for (category, answer) in sample["expect"].as_object().into_iter().flatten() {
            let right = |answer: bool| answer == granted.contains(&category.as_str());
            assert!(answer.as_bool().is_none_or(right), "{category}: {granted:?} for {line}");
        }
    }
}

/// A truncated or modified cookie never grants more than the whole one, unless the modification itself contains the
/// grant. Truncation never does.
#[test]
fn a_truncated_cookie_never_grants_a_refused_category() {
    use consentry::config::{self, Overrides};
    use consentry::consent::Signals;
    use consentry::cookie::Cookies;
    let mut checked = 0;
    for line in SAMPLES.lines() {
        let sample: serde_json::Value = serde_json::from_str(line).unwrap();
        // The first half of a sample with repeated answers is a complete cookie.
        if sample["default"] == "allow" || sample["cut_is_whole"] == true {
            continue;
        }
        let config = config::parse(&config(&sample), None, &Overrides::default()).unwrap();
        let reader = &config.sites[0].filter.reader;
        let header = sample["cookie_header"].as_str().unwrap();
        let read = |header: &str| {
            reader.read(&Cookies::new([header.as_bytes()]), Signals::default(), None, 1_796_083_200)
        };
        let whole = read(header);
        // Samples without a decision may contain one in their prefix.
        if !whole.is_decided() || header.matches(';').count() > 0 {
            continue;
        }
        for end in 0..header.len() {
            checked += 1;
            let cut = read(&header[..end]);
            assert!(
                cut.granted.difference(whole.granted) == consentry::consent::CategorySet::EMPTY
                    || !cut.is_decided(),
                "{line}\ncut at {end} grants {:?}",
                reader.categories.names_of(cut.granted)
            );
        }
    }
    assert!(checked > 10_000, "{checked}");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2000))]

    /// Reading a modified sample never fails, and only the text itself grants.
    #[test]
    fn mangled_cookies_never_panic(
        line in 0..SAMPLES.lines().count(), at in 0..600_usize, cut in 0..12_usize, put in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..12),
    ) {
        use consentry::consent::Signals;
        use consentry::cookie::Cookies;
        static CONFIG: std::sync::LazyLock<consentry::config::Config> = std::sync::LazyLock::new(|| {
            let toml = "[consent]\nsources = ['auto']\n[[site]]\nupstream = 'http://127.0.0.1:1'";
            consentry::config::parse(toml, None, &consentry::config::Overrides::default()).unwrap()
        });
        let sample: serde_json::Value = serde_json::from_str(SAMPLES.lines().nth(line).unwrap()).unwrap();
        let mut header = sample["cookie_header"].as_str().unwrap().as_bytes().to_vec();
        let at = at.min(header.len());
        header.splice(at..(at + cut).min(header.len()), put);
        let reader = &CONFIG.sites[0].filter.reader;
        let consent = reader.read(&Cookies::new([&header[..]]), Signals::default(), None, 1_796_083_200);
        proptest::prop_assert!(consent.granted.contains(consentry::consent::Category::NECESSARY));
    }
}

/// The strings grant every purpose, to these vendors.
#[test]
fn a_rule_with_a_tcf_vendor_needs_vendor_consent_of_a_tc_string() {
    use consentry::config::{self, Overrides};
    use consentry::consent::Signals;
    use consentry::cookie::Cookies;
    let only_755 = "CQtBohAQtBohAEsABBENBkFsAP_gAAAAAAAAF5wAQF5gAAAA.YAAAAAAAAAAA";
    let ranges = "CQtBohAQtBohAEsABBENBkFgAP_gAAAAAAAAGQQA4AAgAGArwBkAAAAAAAAA.YAAAAAAAAAAA"; // 1-3, 700, 800
    let span = "CQtBohAQtBohAEsABBENBkFoAP_gAAAAAAAAGQQAYFeAZAAAAAAA.YAAAAAAAAAAA"; // 700-800
    let bits = "CQtBohAQtBohAEsABBENBkFkAP_gAAAAAAAAAMFWqlQAAAAA.YAAAAAAAAAAA"; // 2 4 6 8 9 11 13 ... 24
    let none = "CQtBohAQtBohAEsABBENBkFgAP_gAAAAAAAAAAAAAAAA.YAAAAAAAAAAA";
    let toml = "[consent]\nsources = ['tcf', 'gpp', 'consentry']\nmax_age_days = 36500\n[[site]]\nupstream = 'http://a'
        [[cookie]]\nname = 'v755'\ncategory = 'targeting'\ntcf_vendor = 755
        [[cookie]]\nname = 'v2'\ncategory = 'analytics'\ntcf_vendor = 2
        [[cookie]]\nname = 'v24'\ncategory = 'analytics'\ntcf_vendor = 24
        [[cookie]]\nname = 'needed'\ncategory = 'necessary'\ntcf_vendor = 755
        [[cookie]]\nname = 'plain'\ncategory = 'targeting'";
    let config = config::parse(toml, None, &Overrides::default()).unwrap();
    let filter = &config.sites[0].filter;
    let passing = |header: &str| {
        let cookies = Cookies::new([header.as_bytes()]);
        let consent = filter.reader.read(&cookies, Signals::default(), None, 1_796_083_200);
        let names = ["v755", "v2", "v24", "needed", "plain"].into_iter();
        let pass = |name: &&str| {
            filter.policy.stored_cookie(name.as_bytes(), &Cookies::default(), &consent).permitted
        };
        names.filter(pass).collect::<Vec<_>>().join(" ")
    };
    for (string, expected) in [
        (only_755, "v755 needed plain"),
        (ranges, "v2 needed plain"),
        (span, "v755 needed plain"),
        (bits, "v2 v24 needed plain"),
        (none, "needed plain"),
    ] {
        assert_eq!(passing(&format!("euconsent-v2={string}")), expected, "{string}");
    }
    let in_gpp = format!("__gpp=DBABMA~{}", only_755.replace(".YAAAAAAAAAAA", ""));
    assert_eq!(passing(&in_gpp), "v755 needed plain");
    // Other sources have no vendors, so the category decides.
    let native = "consentry=1~1795500000~2018-05-25~functional+analytics+targeting~";
    assert_eq!(passing(native), "v755 v2 v24 needed plain");
    assert_eq!(passing(""), "needed");
    // With two strings, a refusal in one of them counts.
    let both = format!("euconsent-v2={only_755}; euconsent-v2={bits}");
    assert_eq!(passing(&both), "needed plain");
    // A truncated vendor section is not evidence of consent.
    let cut = only_755.split('.').next().unwrap();
    assert_eq!(passing(&format!("euconsent-v2={}", &cut[..cut.len() - 10])), "needed");
}

/// The strings grant purposes 1 to 10, to vendors 2 and 5.
#[test]
fn publisher_restrictions_deny_their_vendors_and_fully_restricted_purposes() {
    use consentry::config::{self, Overrides};
    use consentry::consent::Signals;
    use consentry::cookie::Cookies;
    let toml = "[consent]\nsources = ['tcf']\nmax_age_days = 36500\n[[site]]\nupstream = 'http://a'
        [[cookie]]\nname = 'ads2'\ncategory = 'targeting'\ntcf_vendor = 2
        [[cookie]]\nname = 'ads5'\ncategory = 'targeting'\ntcf_vendor = 5
        [[cookie]]\nname = 'stats5'\ncategory = 'analytics'\ntcf_vendor = 5
        [[cookie]]\nname = 'ads'\ncategory = 'targeting'
        [[cookie]]\nname = 'stats'\ncategory = 'analytics'";
    let config = config::parse(toml, None, &Overrides::default()).unwrap();
    let filter = &config.sites[0].filter;
    let start = "CQtBohAQtBohAEsABBDNBkFgAP_AAAAAAAYgACkgAAA";
    for (restrictions, expected) in [
        ("BEAAQACg", "ads2 stats5 ads stats"),    // purpose 4 not for 5
        ("BEAAYAAgAI", "ads5 stats5 ads stats"),  // purpose 4 not for 1 to 4
        ("BEAAYAAgAK", "stats5 stats"),           // purpose 4 not for 1 to 5
        ("BIgAoAAgACAAU", "ads2 ads5 ads stats"), // purpose 8 for 1 and 5 by legitimate interest only
        ("BIQAYAAgAK", "ads2 ads5 stats5 ads stats"), // purpose 8 for 1 to 5 by consent
        ("BBAAQABA", "ads5 stats5 ads stats"),    // purpose 1 not for 2
        ("BBgAoAAgAHAAQABQ", ""), // purpose 1 for 1 to 5 by legitimate interest only
        ("BBgAoAAgAHAAQA", ""),   // cut off: vendors are named, and it cannot be relied on
    ] {
        let header = format!("euconsent-v2={start}{restrictions}");
        let cookies = Cookies::new([header.as_bytes()]);
        let consent = filter.reader.read(&cookies, Signals::default(), None, 1_796_083_200);
        let pass = |name: &&str| {
            filter.policy.stored_cookie(name.as_bytes(), &Cookies::default(), &consent).permitted
        };
        let names = ["ads2", "ads5", "stats5", "ads", "stats"].into_iter().filter(pass);
        assert_eq!(names.collect::<Vec<_>>().join(" "), expected, "{restrictions}");
    }
}

#[test]
fn unknown_keys_of_a_tool_are_rejected() {
    use consentry::config::{self, Overrides};
    for (tool, key) in [
        ("klaro", "revision = 1"),
        ("onetrust", "cookie = 'x'"),
        ("osano", "implied = 'ignore'"),
        ("cookiebot", "dismiss_grants = true"),
        ("tcf", "require_alert_box_closed = false"),
    ] {
        let toml = format!(
            "[consent]\nsources = ['{tool}']\n[consent.{tool}]\n{key}\n[[site]]\nupstream = 'http://a'\n"
        );
        let error = config::parse(&toml, None, &Overrides::default()).unwrap_err().to_string();
        assert!(
            error.contains(&format!("`{tool}` has no such key")) && error.contains(":4"),
            "{error}"
        );
    }
}

/// A TC string with consent to these purposes.
const PURPOSES_1_8_9: &str =
    "CQeEcwAQeEcwAEsAEBENCCFgAIPAAAAAAAYgF5wAwAOABbAXmAAAAAAA.YAAAAAAAAAAA";

#[test]
fn a_custom_cookie_name_may_have_a_part_that_varies() {
    use consentry::config::{self, Overrides};
    use consentry::consent::Signals;
    use consentry::cookie::Cookies;
    for (name, header, expected) in [
        ("mine_*", "mine_1=true", true),
        ("mine_*", "mine_=true", true),
        ("mine_*", "mine=true", false),
        ("mine_*", "not_mine_1=true", false),
        ("mine_*", "mine_1=true; mine_2=false", false),
        ("mine_*_end", "mine_1_end=true", true),
        ("mine_*_end", "mine__end=true", true),
        ("mine_*_end", "mine_end=true", false),
        ("mine_*_end", "mine_1_end2=true", false),
    ] {
        let toml = format!(
            "catalogue = []\nunclassified = 'block'\n[consent]\nsources = ['generic']\n[consent.generic]\ncookie = '{name}'\nformat = 'flag'\n[[site]]\nupstream = 'http://a'\n"
        );
        let config = config::parse(&toml, None, &Overrides::default()).unwrap();
        let filter = &config.sites[0].filter;
        let cookies = Cookies::new([header.as_bytes()]);
        let consent = filter.reader.read(&cookies, Signals::default(), None, 1_796_083_200);
        let granted = filter.reader.categories.names_of(consent.granted).len() > 1;
        assert_eq!(granted, expected, "{name}: {header}");
        // The cookies that it reads are necessary, and others are not.
        let cookie = header.split('=').next().unwrap().as_bytes();
        let nobody =
            consentry::consent::Consent::undecided(consentry::consent::CategorySet::NECESSARY);
        let passes = filter.policy.stored_cookie(cookie, &cookies, &nobody).permitted;
        assert_eq!(passes, consent.is_decided(), "{name}: {header}");
    }
}

#[test]
fn a_custom_consent_cookie_is_parsed_as_configured() {
    use consentry::config::{self, Overrides};
    use consentry::consent::Signals;
    use consentry::cookie::Cookies;
    let map = "map = { stats = 'analytics', ads = ['targeting', 'social'], ui = 'functional' }";
    let cases: &[(&str, &str, Option<&str>)] = &[
        (
            "format = 'json'",
            "{\"stats\":true,\"ads\":0,\"ui\":\"yes\"}",
            Some("functional analytics"),
        ),
        (
            "format = 'json'",
            "%7B%22stats%22%3A1%2C%22ads%22%3A1%7D",
            Some("analytics targeting social"),
        ),
        ("format = 'json'\npath = 'a.b'", "{\"a\":{\"b\":[\"stats\"]}}", Some("analytics")),
        ("format = 'json'\npath = 'a.b'", "{\"a\":{}}", None),
        ("format = 'json'", "{\"stats\":{}}", None),
        ("format = 'json'", "{\"stats\":true,\"stats\":true}", None),
        ("format = 'json'\ntime = 't'", "{\"stats\":true,\"t\":1000000000}", None),
        (
            "format = 'json'\ndecode = ['url', 'base64']",
            "eyJzdGF0cyI6dHJ1ZX0%3D",
            Some("analytics"),
        ),
        ("format = 'json'\ndecode = ['base64']", "*", None),
        ("format = 'query'", "stats=1&ads=0&other=1", Some("analytics")),
        ("format = 'query'\ntruthy = ['on']", "stats=on&ads=1", Some("analytics")),
        ("format = 'list'", "stats, ui", Some("functional analytics")),
        ("format = 'list'\nseparator = '|'", "stats|ads", Some("analytics targeting social")),
        ("format = 'list'", "", Some("")),
        ("format = 'map'", "stats:yes,ads:no", Some("analytics")),
        ("format = 'map'", "stats:yes,ads", None),
        (
            "format = 'json'\npath = 'list'\nid = 'cid'\nanswer = 'is.on'",
            "{\"list\":[{\"cid\":\"stats\",\"is\":{\"on\":true}},{\"cid\":\"ads\",\"is\":{\"on\":false}}]}",
            Some("analytics"),
        ),
        (
            "format = 'json'\nid = 'cid'\nanswer = 'on'",
            "[{\"cid\":\"stats\",\"on\":true},{\"cid\":\"stats\",\"on\":false}]",
            Some(""),
        ),
        ("format = 'json'\nid = 'cid'\nanswer = 'on'", "[{\"cid\":\"stats\"}]", None),
        ("format = 'json'\nid = 'cid'", "[{\"cid\":\"stats\"},{\"cid\":\"x\"}]", Some("analytics")),
        ("format = 'json'\nid = 'cid'", "[\"stats\"]", None),
        (
            "format = 'json'\nanswer = 'value'",
            "{\"stats\":{\"at\":1,\"value\":true},\"ads\":{\"at\":1,\"value\":0}}",
            Some("analytics"),
        ),
        ("format = 'json'\nanswer = 'value'", "{\"stats\":true}", None),
        (
            "format = 'json'",
            "{\"stats\":{\"status\":1,\"list\":[]},\"ads\":{\"one\":0}}",
            Some("analytics"),
        ),
        (
            "format = 'json'\nmap = { 'a.stats' = 'analytics', 'b.c.ads' = 'targeting', ads = 'social' }",
            "{\"a\":{\"stats\":1,\"x\":0},\"b\":{\"c\":{\"ads\":1}},\"ads\":0}",
            Some("analytics targeting"),
        ),
        ("format = 'json'", "{\"a\":{\"stats\":1,\"x\":0}}", Some("")),
        (
            "format = 'flag'\ndecode = ['url', 'url']",
            "%2574rue",
            Some("functional analytics targeting social"),
        ),
        ("format = 'flag'\ndecode = ['url']", "%2574rue", Some("")),
        (
            "format = 'flag'\ndecode = ['base64', 'url', 'base64']",
            "ZEhKMVpRJTNEJTNE",
            Some("functional analytics targeting social"),
        ),
        ("format = 'tcf'", PURPOSES_1_8_9, Some("analytics")),
        (
            "format = 'tcf'\npath = 'x.1'",
            "{\"x\":[0,\"CQeEcwAQeEcwAEsAEBENCCFgAIPAAAAAAAYgF5wAwAOABbAXmAAAAAAA.YAAAAAAAAAAA\"]}",
            Some("analytics"),
        ),
        ("format = 'tcf'\npath = 'x.2'", "{\"x\":[0]}", None),
        ("format = 'tcf'", "CQeEcwAQ", None),
        (
            "format = 'gpp'",
            "DBABMA~CQuMEMAQuMEMAAAAAAENAAFgAIPAAAAAAAAAAAAAAAAA.IAAA.YAAAAAAAAAAA",
            Some("analytics"),
        ),
        ("format = 'gpp'", "DBABL", None),
        ("format = 'flag'", "granted", Some("functional analytics targeting social")),
        ("format = 'flag'", "no", Some("")),
        (
            "format = 'regex'\npattern = '^s(?P<stats>[01])a(?P<ads>[01])$'",
            "s1a0",
            Some("analytics"),
        ),
        ("format = 'regex'\npattern = '^s(?P<stats>[01])a(?P<ads>[01])$'", "s1", None),
    ];
    for (toml, value, expected) in cases {
        // The ids of TC and GPP strings are purposes.
        let own_map = toml.contains("map =") || toml.contains("'tcf'") || toml.contains("'gpp'");
        let map = if own_map { "" } else { map };
        let toml = format!(
            "catalogue = []\n[consent]\nsources = ['generic']\nmax_age_days = 36500\n[consent.generic]\ncookie = 'mine'\n{map}\n{toml}\n[[site]]\nupstream = 'http://a'\n"
        );
        let config = config::parse(&toml, None, &Overrides::default())
            .unwrap_or_else(|error| panic!("{toml}\n{error}"));
        let reader = &config.sites[0].filter.reader;
        let header = format!("a=1; mine={value}");
        let consent = reader.read(
            &Cookies::new([header.as_bytes()]),
            Signals::default(),
            None,
            1_796_083_200,
        );
        let granted = reader.categories.names_of(consent.granted)[1..].join(" ");
        assert_eq!(consent.is_decided().then_some(granted.as_str()), *expected, "{toml}{value}");
    }
    for wrong in [
        "format = 'xml'",
        "format = 'regex'",
        "format = 'regex'\npattern = '('",
        "pattern = 'x'",
        "separator = ''",
        "map = { a = 'b' }",
        "cookie = '*'",
        "cookie = 'abc*'",
        "cookie = 'abcd*e*'",
        "cookie = 'abcd{digits}*'",
        "format = 'list'\nid = 'a'",
        "format = 'tcf'\nanswer = 'a'",
        "decode = ['url', 'url', 'url', 'url', 'url']",
    ] {
        let toml = format!(
            "[consent]\nsources = ['generic']\n[consent.generic]\n{wrong}\n[[site]]\nupstream = 'http://a'\n"
        );
        assert!(config::parse(&toml, None, &Overrides::default()).is_err(), "{wrong}");
    }
}
