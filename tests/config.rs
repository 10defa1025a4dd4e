//! Config parsing: defaults, all errors at once, the shipped files.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::path::Path;
use std::time::Duration;

use consentry::catalogue::CookieContext;
use consentry::config::settings::{Config, Detect, Mode, Position};
use consentry::config::{self, Overrides};
use consentry::consent::{Category, CategorySet, Signals};
use consentry::cookie::Cookies;

fn parse(toml: &str) -> Config {
    config::parse(toml, None, &Overrides::default())
        .unwrap_or_else(|error| panic!("{toml}\n{error}"))
}

/// Each problem as `line key: message`.
fn problems(toml: &str) -> Vec<String> {
    let error = config::parse(toml, Some(Path::new("x.toml")), &Overrides::default()).unwrap_err();
    let show = |problem: &config::Diagnostic| {
        let line = problem.line.map(|line| line.to_string()).unwrap_or_default();
        format!("{line} {}: {}", problem.key, problem.message)
    };
    error.problems.iter().map(show).collect()
}

const SITE: &str = "[[site]]\nupstream = 'http://127.0.0.1:3000'\n";

#[test]
fn every_setting_has_a_default() {
    let config = parse(SITE);
    assert_eq!(config.listen.http.unwrap().to_string(), "0.0.0.0:8080");
    assert_eq!(config.listen.admin.unwrap().to_string(), "127.0.0.1:9090");
    assert_eq!(config.timeouts.connect, Duration::from_secs(5));
    assert_eq!(config.timeouts.request_head, Duration::from_secs(10));
    assert_eq!(config.timeouts.idle, Duration::from_secs(75));
    assert_eq!(config.timeouts.first_byte, Duration::from_secs(60));
    assert_eq!(config.timeouts.drain, Duration::from_secs(30));
    assert_eq!((config.limits.header_bytes, config.limits.header_fields), (65_536, 128));
    let filter = &config.sites[0].filter;
    assert_eq!((filter.mode, filter.detect), (Mode::Enforce, Detect::Report));
    assert_eq!(filter.reader.max_age_days, 182);
    assert_eq!(filter.reader.notice_date.unwrap().to_string(), "2018-05-25");
    assert_eq!(filter.reader.categories.names_of(filter.reader.default), ["necessary"]);
}

#[test]
fn listen_is_an_address_or_a_table() {
    for toml in [
        "listen = '127.0.0.1:81'\n",
        "listen = 'localhost:81'\n",
        "[listen]\nhttp = '127.0.0.1:81'\n",
        "listen = { http = '127.0.0.1:81' }\n",
    ] {
        assert_eq!(
            parse(&format!("{toml}{SITE}")).listen.http.unwrap().to_string(),
            "127.0.0.1:81"
        );
    }
    assert_eq!(
        parse(&format!("listen = ':81'\n{SITE}")).listen.http.unwrap().to_string(),
        "0.0.0.0:81"
    );
    assert!(parse(&format!("[listen]\nadmin = 'off'\n{SITE}")).listen.admin.is_none());
}

#[test]
fn a_site_overrides_shared_settings() {
    let config = parse(
        "mode = 'observe'\nunclassified = 'allow'\n[consent]\ndefault = 'allow'\nmax_age_days = 10\n\
         [[site]]\nname = 'own'\nhosts = ['a.example', '*.b.example']\nupstream = ['http://a', 'http://b:81']\nmode = 'enforce'\n\
         consent.default = 'deny'\nconsent.max_age_days = 20\nunclassified = 'block'\n\
         [[site]]\nupstream = 'http://c'\n",
    );
    let [own, other] = &config.sites[..] else { panic!("two sites") };
    assert_eq!((own.name.as_str(), other.name.as_str()), ("own", "default"));
    assert_eq!(own.balance.upstreams.len(), 2);
    assert_eq!((own.filter.mode, other.filter.mode), (Mode::Enforce, Mode::Observe));
    assert_eq!((own.filter.reader.max_age_days, other.filter.reader.max_age_days), (20, 10));
    assert_eq!(own.filter.reader.categories.names_of(own.filter.reader.default), ["necessary"]);
    assert_eq!(other.filter.reader.categories.names_of(other.filter.reader.default).len(), 5);
}

#[test]
fn flags_win_over_the_file() {
    let overrides = Overrides {
        listen: Some("127.0.0.1:1".to_owned()),
        admin: Some("off".to_owned()),
        upstream: Some("http://[::1]:9".to_owned()),
        mode: Some(Mode::Observe),
        sources: None,
    };
    let config = config::parse(SITE, None, &overrides).unwrap();
    assert_eq!(config.listen.http.unwrap().port(), 1);
    assert!(config.listen.admin.is_none());
    assert_eq!(config.sites[0].balance.upstreams[0].address.to_string(), "http://[::1]:9");
    assert_eq!(config.sites[0].filter.mode, Mode::Observe);
}

#[test]
fn all_errors_are_reported_with_line_and_key() {
    let toml = "\
listen = 'nowhere'
mode = 'strict'
workers = 0
colour = 'blue'
[consent]
sources = ['consentry', 'onetrusst']
notice_date = '2018-05-25'
max_age_days = -1
[timeouts]
connect = '5 parsecs'
[limits]
header_bytes = 1
[[cookie]]
name = '*'
category = 'analytics'
[[cookie]]
category = 'sweet'
[[beacon]]
path = 'pixel.gif'
[[site]]
hosts = ['http://a.example/']
upstream = 'ftp://a'
[[site]]
hosts = []
";
    let found = problems(toml);
    let starts = [
        "1 listen: `nowhere` is not an address",
        "2 mode: ",
        "3 workers: 0 is out of range (1 to 1024)",
        "4 colour: unknown key",
        "6 consent.sources: `onetrusst` is not a consent source",
        "7 consent.notice_date: ",
        "8 consent.max_age_days: ",
        "10 timeouts.connect: `5 parsecs` is not a duration",
        "12 limits.header_bytes: 1 is out of range",
        "14 cookie[0].name: the pattern is only",
        "16 cookie[1].name: is missing",
        "17 cookie[1].category: `sweet` is not a category",
        "18 beacon[0].category: is missing",
        "19 beacon[0].path: a path must start with",
        "21 site[0].hosts[0]: `http://a.example/` is not a host",
        "22 site[0].upstream: `ftp://a` does not start with `http://`, `https://`, `h2c://` or `unix:`",
        "23 site[1].upstream: is missing",
        "24 site[1].hosts: is empty",
    ];
    for (start, problem) in starts.iter().zip(&found) {
        assert!(problem.starts_with(start), "{start}\n{found:#?}");
    }
    assert_eq!(found.len(), starts.len(), "{found:#?}");
}

#[test]
fn rule_scopes_for_deletions_must_be_valid_in_browsers() {
    let rule =
        |more: &str| format!("[[cookie]]\nname = 'uid'\ncategory = 'analytics'\n{more}\n{SITE}");
    let place = |more: &str| {
        let config = parse(&rule(more));
        let rule = config.sites[0].filter.policy.catalogue.cookie(b"uid").unwrap();
        rule.scope
            .as_ref()
            .map(|place| (place.domain.as_deref().map(str::to_owned), place.path.to_string()))
    };
    assert_eq!(place(""), None);
    assert_eq!(place("path = '/a b'"), Some((None, "/a b".to_owned())));
    assert_eq!(
        place("domain = '.Example.com'"),
        Some((Some("example.com".to_owned()), "/".to_owned()))
    );
    for (more, start) in [
        ("path = 'shop'", "4 cookie[0].path: `shop` is not a path"),
        ("path = '/a;b'", "4 cookie[0].path: `/a;b` is not a path"),
        ("path = \"/a\\n\"", "4 cookie[0].path: `/a\\n` is not a path"),
        ("path = ''", "4 cookie[0].path: `` is not a path"),
        ("domain = 'com'", "4 cookie[0].domain: `com` is not a domain"),
        ("domain = 'localhost'", "4 cookie[0].domain: `localhost` is not a domain"),
        ("domain = '127.0.0.1'", "4 cookie[0].domain: `127.0.0.1` is not a domain"),
        (
            "domain = 'example.com; Secure'",
            "4 cookie[0].domain: `example.com; Secure` is not a domain",
        ),
    ] {
        let found = problems(&rule(more));
        assert!(found.len() == 1 && found[0].starts_with(start), "{start}\n{found:#?}");
    }
}

#[test]
fn toml_syntax_errors_are_reported_with_their_position() {
    let found = problems("mode = \n[[site]\n");
    assert!(found.iter().any(|problem| problem.starts_with("1 ")), "{found:?}");
    assert!(found.iter().any(|problem| problem.starts_with("2 ")), "{found:?}");
}

#[test]
fn a_value_of_the_wrong_type_is_named_with_the_expected_one() {
    let found = problems(&format!("log = 5\n[consent]\nregion = {{ header = 'a b' }}\n{SITE}"));
    let expected = [
        "1 log: invalid type: integer `5`, expected a table",
        "3 consent.region.header: `a b` is not a header field name",
    ];
    assert_eq!(found, expected);
}

#[test]
fn overlapping_sites_and_configs_without_a_site_are_rejected() {
    let found = problems(
        "[[site]]\nhosts = ['a']\nupstream = 'http://x'\n[[site]]\nhosts = ['A', 'b']\nupstream = 'http://x'\n",
    );
    assert_eq!(found, ["5 site[1].hosts[0]: `A` is already served by another site"]);
    let found = problems(&[SITE, SITE].concat());
    assert!(
        found[0].ends_with("site[1].hosts: `*` is already served by another site"),
        "{found:?}"
    );
    assert_eq!(problems(""), [" site: no site is configured"]);
}

#[test]
fn filters_need_neither_sites_nor_upstreams() {
    let parse = |toml: &str| config::parse_filters(toml, None, &Overrides::default()).unwrap();
    let settings = parse("[[cookie]]\nname = 'shop'\ncategory = 'analytics'").single().unwrap();
    let rule = settings.policy.catalogue.cookie(b"shop").unwrap();
    assert_eq!(rule.entry.category, Category::ANALYTICS);
    assert!(parse("[[site]]\nmode = 'observe'").single().unwrap().mode == Mode::Observe);
    assert!(parse(SITE).single().is_some(), "a config for the proxy");
    let several =
        parse("[[site]]\nname = 'a'\nhosts = ['a.example']\n[[site]]\nhosts = ['b.example']");
    let names: Vec<&str> = several.sites.iter().map(|site| site.name.as_str()).collect();
    assert_eq!(names, ["a", "b.example"]);
    assert!(several.single().is_none(), "the server must choose the site");
}

#[test]
fn filter_errors_have_line_and_key() {
    let toml = "mode = 'enforce'\n[[site]]\nupstream = 'ftp://x'\nfoo = 1\n[[cookie]]\nname = 'a'\ncategory = 'nope'";
    let error = config::parse_filters(toml, None, &Overrides::default()).unwrap_err();
    let found: Vec<_> =
        error.problems.iter().map(|problem| (problem.line, problem.key.as_str())).collect();
    let expected =
        [(Some(3), "site[0].upstream"), (Some(4), "site[0].foo"), (Some(7), "cookie[0].category")];
    assert_eq!(found, expected, "{error}");
    let missing = config::load_filters(Path::new("no-such-file.toml"), &Overrides::default());
    assert!(
        missing.unwrap_err().to_string().starts_with("no-such-file.toml: cannot read the file: ")
    );
}

#[test]
fn custom_categories_work_everywhere() {
    let config = parse(&format!(
        "[[category]]\nname = 'video'\n[[cookie]]\nname = 'VISITOR_INFO1_LIVE'\ncategory = 'video'\n[technologies]\nnel = 'video'\n{SITE}"
    ));
    let filter = &config.sites[0].filter;
    let video = filter.reader.categories.find("video").unwrap();
    assert_eq!(
        filter.policy.catalogue.cookie(b"VISITOR_INFO1_LIVE").unwrap().entry.category,
        video
    );
    assert_eq!(filter.technologies.nel, Some(video));
}

#[test]
fn catalogue_paths_are_relative_to_the_config_and_errors_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(
        "extra.toml",
        "[[cookie]]\nname = '_ga'\ncategory = 'social'\n[[cookie]]\nname = 'mine'\ncategory = 'necessary'\n",
    );
    write("good.toml", &format!("catalogue = ['builtin', 'extra.toml']\n{SITE}"));
    let config = config::load(&folder.path().join("good.toml"), &Overrides::default()).unwrap();
    let catalogue = &config.sites[0].filter.policy.catalogue;
    assert_eq!(
        catalogue.cookie(b"_ga").unwrap().entry.category,
        Category::SOCIAL,
        "later files win"
    );
    assert!(catalogue.cookie(b"mine").is_some() && catalogue.cookie(b"_gid").is_some());

    write("only.toml", &format!("catalogue = []\n{SITE}"));
    let config = config::load(&folder.path().join("only.toml"), &Overrides::default()).unwrap();
    assert!(config.sites[0].filter.policy.catalogue.cookie(b"_ga").is_none());

    write("broken.toml", "[[cookie]]\nname = 'a'\ncategory = 'b'\nsize = 1\n");
    write("bad.toml", &format!("catalogue = ['broken.toml', 'gone.toml']\n{SITE}"));
    let error = config::load(&folder.path().join("bad.toml"), &Overrides::default()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("broken.toml:4: cookie[0].size: unknown key"), "{text}");
    assert!(text.contains("broken.toml:3: cookie[0].category: `b` is not a category"), "{text}");
    assert!(text.contains("bad.toml:1: catalogue[1]: "), "{text}");
}

#[test]
fn the_annotated_example_is_valid_and_states_the_defaults() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = config::load(&root.join("config/consentry.toml"), &Overrides::default()).unwrap();
    let bare = parse("[[site]]\nupstream = 'http://127.0.0.1:3000'");
    assert_eq!(
        format!("{:?} {:?}", config.timeouts, config.limits),
        format!("{:?} {:?}", bare.timeouts, bare.limits)
    );
    assert_eq!(
        format!("{:?} {:?}", config.listen, config.log),
        format!("{:?} {:?}", bare.listen, bare.log)
    );
    let filter = |config: &Config| {
        let filter = &config.sites[0].filter;
        format!(
            "{:?} {:?} {:?} {:?} {:?}",
            filter.mode, filter.expire, filter.detect, filter.technologies, filter.reader
        )
    };
    assert_eq!(filter(&config), filter(&bare));
}

#[test]
fn the_table_of_consent_sources_has_every_source_and_no_other() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/consent-sources.md");
    let table = std::fs::read_to_string(path).unwrap();
    let mut listed: Vec<&str> =
        table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let mut names = consentry::consent::sources::names().collect::<Vec<_>>();
    listed.sort_unstable();
    names.sort_unstable();
    assert_eq!(listed, names);
}

#[test]
fn the_cookies_of_every_source_are_named_by_a_valid_pattern() {
    for name in consentry::consent::sources::names() {
        let source = consentry::consent::sources::find(name, &Default::default()).unwrap();
        for cookie in source.cookie_names() {
            let pattern = consentry::catalogue::Pattern::new(&cookie);
            assert!(pattern.is_ok(), "{name}: {cookie}: {pattern:?}");
        }
    }
}

#[test]
fn the_table_of_a_source_is_validated() {
    let found = problems(&format!(
        "{SITE}[site.consent.klaro]\nmap = {{ matomo = 'analytic' }}\nbanner = 1\n[consent]\nsources = ['klaro']\n[consent.onetruts]\n"
    ));
    assert!(
        found.iter().any(|problem| problem
            .starts_with("4 site[0].consent.klaro.map.matomo: `analytic` is not a category")),
        "{found:#?}"
    );
    assert!(
        found
            .iter()
            .any(|problem| problem.starts_with("5 site[0].consent.klaro.banner: unknown key")),
        "{found:#?}"
    );
    assert!(
        found.iter().any(|problem| problem.contains("consent.onetruts: unknown key")),
        "{found:#?}"
    );
}

#[test]
fn errors_shared_by_several_sites_are_reported_once() {
    let toml = format!(
        "[consent]\nsources = ['klarro', 'onetrusst']\n{SITE}[[site]]\nhosts = ['b']\nupstream = 'http://b'\n"
    );
    assert_eq!(problems(&toml).len(), 2, "{:#?}", problems(&toml));
}

#[test]
fn an_unusable_certificate_or_private_key_is_reported_at_the_key_of_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = |file: &str| folder.path().join(file).to_str().unwrap().to_owned();
    for name in ["site", "other"] {
        let made = rcgen::generate_simple_self_signed([format!("{name}.test")]).unwrap();
        std::fs::write(path(&format!("{name}.pem")), made.cert.pem()).unwrap();
        std::fs::write(path(&format!("{name}.key")), made.signing_key.serialize_pem()).unwrap();
    }
    let broken = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    std::fs::write(path("broken.key"), broken).unwrap();
    for (cert, key, expected) in [
        (
            "site.pem",
            "other.key",
            "6 {}.key: `{key}`: the private key does not match the certificate",
        ),
        ("site.pem", "broken.key", "6 {}.key: `{key}`: invalid or unsupported private key"),
        (
            "site.pem",
            "site.pem",
            "6 {}.key: `{key}`: no private key found (PEM, `BEGIN PRIVATE KEY`)",
        ),
        (
            "site.key",
            "site.key",
            "5 {}.cert: `{cert}`: no certificate found (PEM, `BEGIN CERTIFICATE`)",
        ),
    ] {
        let (cert, key) = (path(cert), path(key));
        let toml = format!(
            "[listen]\nhttps = ':8443'\n\n[[tls.certificates]]\ncert = '{cert}'\nkey = '{key}'\n{SITE}"
        );
        let expected = expected.replace("{}", "tls.certificates[0]");
        let expected = expected.replace("{cert}", &cert).replace("{key}", &key);
        assert_eq!(problems(&toml), [expected]);
    }
    // The client certificate for upstreams follows the same rule.
    let (cert, key) = (path("site.pem"), path("other.key"));
    let toml = format!(
        "[upstream_tls]\nclient_cert = '{cert}'\nclient_key = '{key}'\n[[site]]\nupstream = 'https://a'\n"
    );
    let expected = format!(
        "3 upstream_tls.client_key: `{key}`: the private key does not match the certificate"
    );
    assert_eq!(problems(&toml), [expected]);
}

#[test]
fn invalid_tls_server_names_are_rejected_with_their_key() {
    let toml = "[upstream_tls]\nserver_name = 'not a name'\n\
         [[site]]\nhosts = ['a']\nupstream = 'https://a.internal'\n\
         [[site]]\nhosts = ['b']\nupstream = 'https://10.0.0.1'\nupstream_tls = { server_name = '-' }\n\
         [[site]]\nupstream = 'https://a..b:8443'\n";
    let all = problems(toml);
    for expected in [
        "2 upstream_tls.server_name: `not a name`: is not a host",
        "9 site[1].upstream_tls.server_name: `-`: is not a host",
        "11 site[2].upstream: `https://a..b:8443`: the host is not a valid TLS server name",
    ] {
        assert!(all.iter().any(|problem| problem.starts_with(expected)), "{expected}\n{all:#?}");
    }
    assert_eq!(all.len(), 3, "{all:#?}");
    // An IP address is a valid TLS name, and upstreams without TLS need no name.
    parse("[[site]]\nupstream = ['https://[::1]', 'http://a..b', 'unix:/run/app.sock']");
}

#[test]
fn page_settings_are_validated_by_key() {
    let toml = "[centre]\nlanguage = 'tlh'\nlocales = 'nowhere'\nearlier_notices = [2018-01-01T00:00:00Z]\n\
         [expire]\non_withdrawal = ['everything']\n\
         [banner]\nenabled = true\nposition = 'left'\ncolours = { text = 'red', border = '#123' }\n\
         [page]\nguards = true\n\
         [receipts]\nurl = 'mysql://user:secret@host/db'\n\
         [[host]]\nname = 'https://tracker.example/x'\ncategory = 'analytics'\n\
         [[site]]\nhosts = ['shop.example', '*.other.test']\nupstream = 'http://127.0.0.1:1'\n\
         consent = { cookie_domain = 'other.test', sources = ['onetrust'] }\ncentre = { prefix = '/x/' }\n\
         [[site]]\nupstream = 'http://127.0.0.1:1'\nconsent.cookie_domain = 'co.uk'\n";
    let all = problems(toml).join("\n");
    for expected in [
        "2 centre.language: unknown language `tlh`",
        "3 centre.locales: `nowhere`: cannot read the folder",
        "4 centre.earlier_notices: is not a date",
        "6 expire.on_withdrawal[0]: unknown variant `everything`",
        "9 banner.position: unknown variant `left`",
        "10 banner.colours.text: `red` is not a colour",
        "10 banner.colours.border: unknown key",
        "12 page.guards: unknown key",
        "14 receipts.url: is neither a SQLite file nor a PostgreSQL server",
        "16 host[0].name: `https://tracker.example/x` is not a host",
        "21 site[0].consent.cookie_domain: browsers reject a cookie for `other.test` from `shop.example`",
        "22 site[0].centre.prefix: is global",
        "site[0].banner.enabled: enabled, but no source in consent.sources reads its cookie",
        "25 site[1].consent.cookie_domain: `co.uk` is not a domain that a cookie can be set for",
    ] {
        assert!(all.contains(expected), "no {expected} in\n{all}");
    }
    assert!(!all.contains("secret"), "the URL has a password: {all}");
}

#[test]
fn page_settings_have_defaults_and_site_overrides() {
    let site = &parse(SITE).sites[0];
    assert_eq!((site.page.banner.is_some(), site.page.guard), (false, false));
    assert_eq!(site.centre.locales.all().len(), 13);
    assert_eq!(
        (site.centre.on_withdrawal.cookies, site.centre.on_withdrawal.storage),
        (true, false)
    );
    assert!(parse(SITE).receipts.is_none());
    let config = parse(&format!("[receipts]\n{SITE}page.guard = true\nbanner.enabled = true\n"));
    let receipts = config.receipts.unwrap();
    assert_eq!(format!("{:?}", receipts.store), "Sqlite(\"consentry.db\")");
    assert_eq!((receipts.spool_max, receipts.retention_days), (100_000, 1825));
    assert_eq!((receipts.ip, receipts.user_agent), (false, false));
    assert!(config.sites[0].page.guard && config.sites[0].page.banner.is_some());
    // Printing the settings does not show the password.
    let config = parse(&format!("[receipts]\nurl = 'postgres://user:pa55w0rd@host/db'\n{SITE}"));
    assert!(!format!("{config:?}").contains("pa55w0rd"));
}

#[test]
fn sites_that_share_a_host_have_distinct_names() {
    let config = parse(
        "[[site]]\nhosts = ['a.test']\nupstream = 'http://127.0.0.1:1'\n\
         [[site]]\nhosts = ['a.test']\npaths = ['/shop/', '/cart']\nupstream = 'http://127.0.0.1:1'\n\
         [[site]]\npaths = ['/any']\nupstream = 'http://127.0.0.1:1'\n",
    );
    let names: Vec<&str> = config.sites.iter().map(|site| site.name.as_str()).collect();
    assert_eq!(names, ["a.test", "a.test/shop", "default/any"]);
}

#[test]
fn placeholders_and_conditions_of_cookie_rules_are_validated() {
    let rule = |lines: &str| format!("{SITE}[[cookie]]\ncategory = 'necessary'\n{lines}\n");
    for (lines, expected) in [
        (
            "name = 'a{id}'",
            "5 cookie[0].name: `{id}` is not a placeholder: known are {digits}, {hex}, {upper}, {alnum} and {word}, with a count such as {hex:32} or {hex:8-32}",
        ),
        (
            "name = 'a{hex'",
            "5 cookie[0].name: `{` without `}`, or `}` without `{`: write `*` for a brace in a name",
        ),
        (
            "name = 'a*'\nrequires = { with = ['*b*'] }",
            "6 cookie[0].requires.with[0]: `*b*` is not a name with at most one `*`",
        ),
        (
            "name = 'a*'\nrequires = { max_days = 40000 }",
            "6 cookie[0].requires.max_days: 40000 is out of range (0 to 36500)",
        ),
        (
            "name = 'a*'\nrequires = { httponly = true }",
            "6 cookie[0].requires.httponly: unknown key",
        ),
    ] {
        assert_eq!(problems(&rule(lines)), [expected], "{lines}");
    }
    let config = parse(&rule(
        "name = 'a_{hex:4}_*'\nrequires = { http_only = true, max_days = 0, with = ['b_*'] }",
    ));
    let cookies = Cookies::default();
    let context = CookieContext::assuming_companions(&cookies);
    let rule = config.sites[0].filter.policy.catalogue.cookie_in(b"a_beef_x", &context);
    let requires = rule.and_then(|rule| rule.requires.as_deref()).expect("conditions");
    assert!(requires.http_only && requires.max_days == Some(0) && requires.with.len() == 1);
}

#[test]
fn site_keys_are_merged_with_the_top_level_table_and_win() {
    let config = parse(
        "limits = { queue = 3, concurrent_requests = 9, requests_per_second = 5 }
         banner = { enabled = true, position = 'top', colours = { text = '#000', button = '#111' } }
         upstream_tls = { server_name = 'all.example', http2 = false }
         centre = { api = true, bridge = true }
         [consent]
         sources = ['onetrust', 'consentry', 'generic']
         gpc = 'ignore'
         dnt = 'deny'
         dnt_categories = ['social']
         max_age_days = 100
         ask_again_days = 200
         forward_header = 'X-All'
         cookie_domain = 'example.com'
         [consent.onetrust]
         require_alert_box_closed = false
         map = { C0009 = 'analytics', C0008 = 'social' }
         [consent.generic]
         cookie = 'choice'
         format = 'list'
         separator = '|'
         [consent.region]
         header = 'CF-IPCountry'
         regions = { US = 'allow', BR = 'allow' }
         [[site]]
         hosts = ['a.example.com']
         upstream = 'https://127.0.0.1:1'
         limits = { queue = 4 }
         banner = { colours = { text = '#222' } }
         upstream_tls = { http2 = true }
         centre = { api = false }
         [site.consent]
         gpc = 'deny'
         max_age_days = 50
         onetrust = { map = { C0008 = 'targeting' } }
         generic = { separator = ';' }
         region = { regions = { US = 'deny' } }
         [[site]]
         hosts = ['b.example.com']
         upstream = 'https://127.0.0.1:1'
         consent = { default = 'deny' }
         ",
    );
    let [site, denying] = &config.sites[..] else { panic!("two sites") };
    assert_eq!((site.limits.queue, site.limits.concurrent_requests), (4, Some(9)));
    assert_eq!(site.limits.burst.get(), 5);
    let banner = site.page.banner.as_ref().expect("a banner");
    assert_eq!(banner.position, Position::Top);
    assert_eq!(banner.colours.text.as_deref(), Some("#222"));
    assert_eq!(banner.colours.button.as_deref(), Some("#111"));
    let tls = site.upstream_tls.as_ref().expect("an https upstream");
    assert!(tls.http2 && tls.server_name.is_some());
    assert!(!site.centre.api && site.centre.bridge);
    let filter = &site.filter;
    assert_eq!(filter.forward_header.as_ref().map(|name| name.as_str()), Some("x-all"));
    let reader = &filter.reader;
    assert!(reader.signals.gpc_denies.contains(Category::TARGETING), "the default of the key");
    let denied_by_dnt: CategorySet = [Category::SOCIAL].into_iter().collect();
    assert_eq!(reader.signals.dnt_denies, denied_by_dnt);
    assert_eq!((reader.max_age_days, reader.ask_again_days), (50, 200));
    assert_eq!(reader.own.domain.as_deref(), Some("example.com"));
    let region = reader.region.as_ref().expect("a table of regions");
    assert_eq!(region.granted(Some(b"US")), CategorySet::NECESSARY);
    assert_eq!(region.granted(Some(b"BR")), reader.categories.all());
    assert!(denying.filter.reader.region.is_none(), "its own default holds in every region");
    let granted = |cookies: &str| {
        let cookies = Cookies::new([cookies.as_bytes()]);
        let consent = reader.read(&cookies, Signals::default(), None, 1_790_000_000);
        reader.categories.names_of(consent.granted).join("+")
    };
    // Without the alert box cookie it counts, by the top-level key. The categories come from both tables.
    let groups =
        "OptanonConsent=groups=C0008%3A1%2CC0009%3A1&datestamp=Mon+Sep+21+2026+10%3A00%3A00+GMT";
    assert_eq!(granted(groups), "necessary+analytics+targeting");
}

#[test]
fn the_default_can_differ_by_category_and_region() {
    let config = parse(
        "[consent]
         default = { functional = 'allow', analytics = 'allow', targeting = 'deny' }
         [[site]]
         hosts = ['uk.example']
         upstream = 'http://127.0.0.1:1'
         [[site]]
         hosts = ['world.example']
         upstream = 'http://127.0.0.1:1'
         [site.consent.region]
         header = 'CF-IPCountry'
         regions = { gb = { analytics = 'allow' }, US = 'allow', FR = { } }
         [[site]]
         hosts = ['eu.example']
         upstream = 'http://127.0.0.1:1'
         consent.default = 'deny'\n",
    );
    let [uk, world, eu] = &config.sites[..] else { panic!("three sites") };
    let names = |granted| uk.filter.reader.categories.names_of(granted).join("+");
    assert_eq!(names(uk.filter.reader.default), "necessary+functional+analytics");
    assert_eq!(names(eu.filter.reader.default), "necessary");
    let region = world.filter.reader.region.as_ref().expect("a table of regions");
    for (name, granted) in [
        ("GB", "necessary+analytics"),
        ("US", "necessary+functional+analytics+targeting+social"),
        ("FR", "necessary"),
        ("DE", "necessary"),
    ] {
        assert_eq!(names(region.granted(Some(name.as_bytes()))), granted, "{name}");
    }
    for (default, message) in [
        ("{ analytic = 'allow' }", "`analytic` is not a category"),
        ("{ necessary = 'deny' }", "`necessary` is not a category that can be denied"),
        ("{ analytics = 'yes' }", "unknown variant `yes`, expected `deny` or `allow`"),
        ("'sometimes'", "unknown variant `sometimes`, expected `deny` or `allow`"),
    ] {
        for consent in [
            format!("default = {default}"),
            format!("region = {{ header = 'X', regions = {{ US = {default} }} }}"),
        ] {
            let all = problems(&format!("[consent]\n{consent}\n{SITE}"));
            let found: Vec<_> = all.iter().filter(|line| line.contains(message)).collect();
            assert!(found.len() == 1 && found[0].starts_with("2 "), "{consent}: {all:?}");
        }
    }
}

#[test]
fn options_without_effect_are_reported_with_their_line() {
    let config = parse(
        "[limits]
         burst = 5
         [tls]
         redirect = true
         [receipts]
         retention_days = 30
         [consent]
         default = 'allow'
         sources = ['onetrust']
         dnt_categories = ['social']
         cookie_domain = 'example.com'
         [consent.region]
         header = 'CF-IPCountry'
         [consent.klaro]
         map = { x = 'social' }
         [banner]
         position = 'top'
         [[host]]
         name = 'tracker.example'
         category = 'analytics'
         [[site]]
         upstream = 'http://127.0.0.1:1'
         hosts = ['a.example.com']
         sticky_cookie = 'srv'
         limits = { queue = 1 }
         upstream_tls = { http2 = false }
         [[site]]
         upstream = ['http://127.0.0.1:1', 'http://127.0.0.1:2']
         hosts = ['b.example.com']
         sticky_cookie = 'srv'
         limits = { requests_per_second = 1 }
         ",
    );
    let found: Vec<String> = config
        .warnings
        .iter()
        .filter_map(|problem| Some(format!("{} {}", problem.line?, problem.key)))
        .collect();
    let expected = [
        "4 tls.redirect",
        "6 receipts.retention_days",
        "8 consent.default",
        "10 consent.dnt_categories",
        "11 consent.cookie_domain",
        "14 consent.klaro",
        "17 banner.position",
        "18 host",
        "24 site[0].sticky_cookie",
        "25 site[0].limits.queue",
        "26 site[0].upstream_tls",
    ];
    for expected in expected {
        assert!(found.contains(&expected.to_owned()), "no {expected} in {found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "burst has an effect on the second site: {found:#?}");
}

#[test]
fn a_map_for_a_tool_with_a_single_answer_is_reported() {
    for (tool, named) in [("osano", true), ("pandectes", true), ("klaro", false)] {
        for site in ["", "site."] {
            let table = format!("consent.{tool}");
            let map = format!("[{site}{table}]\nmap = {{ a = 'social' }}\n");
            let site_table = format!("{SITE}[site.consent]\nsources = ['{tool}']\n");
            let toml = if site.is_empty() { map + &site_table } else { site_table + &map };
            let keys: Vec<_> = parse(&toml).warnings.into_iter().map(|found| found.key).collect();
            let site = if site.is_empty() { "" } else { "site[0]." };
            let expected = named.then(|| format!("{site}{table}.map"));
            assert_eq!(keys, expected.into_iter().collect::<Vec<_>>(), "{toml}");
        }
    }
}

#[test]
fn receipts_kept_shorter_than_consent_are_reported() {
    for (retention, max_age, named) in [
        ("retention_days = 30\n", 20, true),
        ("retention_days = 182\n", 182, false),
        ("", 3000, true),
        ("", 1825, false),
    ] {
        let config = parse(&format!(
            "[receipts]\n{retention}[[site]]\nhosts = ['a.example']\nupstream = 'http://127.0.0.1:1'\n\
             consent = {{ max_age_days = {max_age} }}\n\
             [[site]]\nhosts = ['b.example']\nupstream = 'http://127.0.0.1:1'\n"
        ));
        let is_named =
            config.warnings.iter().any(|problem| problem.key == "receipts.retention_days");
        assert_eq!(is_named, named, "{retention} {max_age}");
    }
}

#[test]
fn the_annotated_example_has_no_option_without_effect() {
    let text = std::fs::read_to_string("config/consentry.toml").expect("the example");
    let found: Vec<String> =
        parse(&text).warnings.iter().map(|problem| problem.to_string()).collect();
    assert!(!found.iter().any(|text| text.contains("no effect")), "{found:#?}");
}

#[test]
fn name_settings_reject_patterns_and_reserved_fields() {
    for (toml, expected) in [
        ("[[site]]\nupstream = 'http://a'\nsticky_cookie = '_*'", "3 site[0].sticky_cookie: `_*`"),
        (
            "[[site]]\nupstream = 'http://a'\nsticky_cookie = 'a;b'",
            "3 site[0].sticky_cookie: `a;b`",
        ),
        ("[consent.klaro]\ncookie = '_*'", "2 consent.klaro.cookie: `_*`"),
        ("[consent.klaro]\ncookie = 'id_{hex:8}'", "2 consent.klaro.cookie: `id_{hex:8}`"),
        ("[consent.generic]\ncookie = ''", "2 consent.generic.cookie: ``"),
    ] {
        let toml = if toml.contains("[[site]]") {
            toml.to_owned()
        } else {
            format!("{toml}\n[[site]]\nupstream = 'http://a'\n")
        };
        let found = problems(&toml);
        assert!(found.iter().any(|text| text.starts_with(expected)), "{expected}: {found:?}");
    }
    for name in [
        "Host",
        "cookie",
        "Content-Length",
        "content-type",
        "Transfer-Encoding",
        "Connection",
        "TE",
        "Sec-GPC",
        "X-Forwarded-For",
        "Forwarded",
        "Authorization",
        "Accept",
        "If-None-Match",
        "Range",
        "Proxy-Connection",
        "Referer",
        "Origin",
        "Set-Cookie",
        "Expect",
        "Upgrade",
        "Via",
    ] {
        let toml =
            format!("[consent]\nforward_header = '{name}'\n[[site]]\nupstream = 'http://a'\n");
        let found = problems(&toml);
        assert_eq!(found.len(), 1, "{name}");
        assert!(found[0].starts_with("2 consent.forward_header: "), "{found:?}");
    }
    let own = "[consent]\nforward_header = 'X-Consent'\n[[site]]\nupstream = 'http://a'\n";
    parse(own);
}

#[test]
fn hosts_are_normalised_and_sites_have_distinct_names() {
    let site = |rest: &str| format!("[[site]]\nupstream = 'http://127.0.0.1:1'\n{rest}\n");
    let config =
        parse(&site("hosts = ['Shop.Example.', '::1', '*.Other.example.', 'münchen.example']"));
    let hosts: Vec<String> = config.sites[0].hosts.iter().map(ToString::to_string).collect();
    assert_eq!(hosts, ["shop.example", "[::1]", "*.other.example", "xn--mnchen-3ya.example"]);
    for host in ["shop.example:8080", "[::1]:80", "*.shop.example:1", "a*b", "*.[::1]", "*.", ""] {
        let found = problems(&site(&format!("hosts = ['{host}']")));
        assert!(found[0].contains("is not a host"), "{host}: {found:?}");
    }
    let twice = [site("hosts = ['shop.example']"), site("hosts = ['SHOP.example.']")].concat();
    assert!(problems(&twice)[0].contains("served by another site"), "{:?}", problems(&twice));
    for (first, second) in [
        ("hosts = ['a.example']", "hosts = ['b.example']\nname = 'a.example'"),
        ("hosts = ['b.example']\nname = 'a.example'", "hosts = ['a.example']"),
        ("hosts = ['a.example']\nname = 'x'", "hosts = ['b.example']\nname = 'x'"),
    ] {
        let found = problems(&[site(first), site(second)].concat());
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("duplicate site name"), "{found:?}");
    }
}
