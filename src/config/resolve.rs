//! From what the user typed to what it means. Notes every problem and goes on.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use time::{Date, Month};
use toml::Spanned;

use super::catalogue_file::{Rules, named_category};
use super::document::{Document, nearest, place};
use super::raw::{
    OneOrMore, Raw, RawConsent, RawDefault, RawLimits, RawListen, RawSignal, RawSite,
    RawTechnologies, RawTimeouts, RawUnclassified, Short,
};
use super::settings::{
    Config, Detect, Expire, FilterSettings, HostPattern, Limits, Listen, Log, LogFormat, LogLevel,
    Mode, Site, Technologies, Timeouts, Upstream,
};
use super::Problem;
use crate::catalogue::{Catalogue, CookieRule, Entry, Pattern, Tier};
use crate::consent::{Categories, Category, CategorySet, ConsentReader, SignalPolicy, sources};
use crate::policy::{Policy, Unclassified};

/// What the command line says, over what the file says.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--listen`
    pub listen: Option<String>,
    /// `--upstream`
    pub upstream: Option<String>,
    /// `--admin`
    pub admin: Option<String>,
    /// `--mode`, for every site
    pub mode: Option<Mode>,
    /// The consent sources, for every site
    pub sources: Option<Vec<String>>,
}

type Doc<'a, 'text> = &'a mut Document<'text, Raw>;

pub(super) fn resolve(document: Doc, folder: &Path, overrides: &Overrides) -> Config {
    let raw = std::mem::take(&mut document.value);
    let categories = categories(document, raw.category);
    let mut rules = catalogue_rules(document, raw.catalogue, folder, &categories);
    rules.add(document, "", raw.cookie, raw.beacon, Tier::Config, &categories);
    let expire = Expire {
        enabled: raw.expire.enabled.unwrap_or(true),
        max_per_response: bounded(document, "expire.max_per_response", raw.expire.max_per_response, 0, 200, 30),
    };
    let detect = raw.beacons.detect.unwrap_or(Detect::Report);
    let technologies = technologies(document, raw.technologies, &categories);
    let common = Common {
        mode: raw.mode,
        unclassified: raw.unclassified,
        consent: raw.consent,
        categories,
        rules,
        expire,
        detect,
        technologies,
    };
    let sites = sites(document, raw.site, &common, overrides);
    let warnings = warnings(document, &common, &sites);
    Config {
        listen: listen(document, raw.listen, overrides),
        workers: raw.workers.map(|workers| bounded(document, "workers", Some(workers), 1, 1024, 1)),
        timeouts: timeouts(document, raw.timeouts),
        limits: limits(document, raw.limits),
        log: Log {
            access: raw.log.access.unwrap_or(true),
            format: raw.log.format.unwrap_or(LogFormat::Auto),
            level: raw.log.level.unwrap_or(LogLevel::Info),
        },
        sites,
        warnings,
    }
}

/// Rules of the user's that ask for consent to what the catalogue files know as necessary: such a
/// cookie stripped is a visitor logged out.
fn warnings(document: Doc, common: &Common, sites: &[Site]) -> Vec<Problem> {
    let files = common.rules.cookies.iter().filter(|rule| matches!(rule.tier, Tier::Catalogue(_)));
    let necessary: Vec<&str> = files
        .filter(|rule| rule.entry.category == Category::NECESSARY && rule.pattern.is_exact())
        .map(|rule| rule.pattern.as_str())
        .collect();
    let mut warnings: Vec<Problem> = Vec::new();
    for site in sites {
        let catalogue = &site.filter.policy.catalogue;
        for name in &necessary {
            let Some(rule) = catalogue.cookie(name.as_bytes()) else { continue };
            let users = matches!(rule.tier, Tier::Config | Tier::Site);
            if users && rule.entry.category != Category::NECESSARY {
                let message = format!(
                    "`{}` is {} by your rule `{}`, and strictly necessary by the catalogue: stripping it may log visitors out",
                    name,
                    common.categories.name(rule.entry.category),
                    rule.pattern.as_str(),
                );
                let problem = Problem::of_file(&document.file, message);
                if !warnings.contains(&problem) {
                    warnings.push(problem);
                }
            }
        }
    }
    warnings
}

/// What holds for every site that does not say otherwise.
struct Common {
    mode: Option<Mode>,
    unclassified: Option<RawUnclassified>,
    consent: RawConsent,
    categories: Categories,
    rules: Rules,
    expire: Expire,
    detect: Detect,
    technologies: Technologies,
}

fn categories(document: Doc, raw: Vec<Spanned<super::raw::RawCategory>>) -> Categories {
    let mut categories = Categories::default();
    for (index, raw) in raw.into_iter().enumerate() {
        let key = format!("category[{index}].name");
        let at = place(&raw);
        match raw.into_inner().name {
            None => document.missing(at, key, "name = \"video\""),
            Some(name) => {
                if let Err(error) = categories.add(name.get_ref()) {
                    document.problem(Some(place(&name)), key, error.to_string(), None);
                }
            }
        }
    }
    categories
}

fn catalogue_rules(
    document: Doc,
    files: Option<Vec<Spanned<String>>>,
    folder: &Path,
    categories: &Categories,
) -> Rules {
    let mut rules = Rules::default();
    let Some(files) = files else {
        rules.add_builtin(document, Tier::Catalogue(0));
        return rules;
    };
    for (index, file) in files.iter().enumerate() {
        let tier = Tier::Catalogue(u16::try_from(index).unwrap_or(u16::MAX));
        if file.get_ref() == "builtin" {
            rules.add_builtin(document, tier);
            continue;
        }
        let path = folder.join(file.get_ref());
        match std::fs::read_to_string(&path) {
            Ok(text) => rules.add_file(document, &path.display().to_string(), &text, tier, categories),
            Err(error) => document.problem(
                Some(place(file)),
                format!("catalogue[{index}]"),
                format!("`{}` cannot be read: {error}", path.display()),
                Some("`builtin`, or the path of a TOML file from this file's folder".to_owned()),
            ),
        }
    }
    rules
}

fn technologies(document: Doc, raw: RawTechnologies, categories: &Categories) -> Technologies {
    let defaults = Technologies::default();
    let mut category = |name: &str, value: Option<Spanned<String>>, default: Category| {
        value
            .and_then(|value| {
                named_category(document, &format!("technologies.{name}"), &value, categories)
            })
            .unwrap_or(default)
    };
    Technologies {
        nel: category("nel", raw.nel, defaults.nel),
        attribution_reporting: category(
            "attribution_reporting",
            raw.attribution_reporting,
            defaults.attribution_reporting,
        ),
        topics: category("topics", raw.topics, defaults.topics),
        client_hints: category("client_hints", raw.client_hints, defaults.client_hints),
    }
}

fn sites(
    document: Doc,
    raw: Vec<Spanned<RawSite>>,
    common: &Common,
    overrides: &Overrides,
) -> Vec<Site> {
    let flagged = overrides.upstream.as_deref().and_then(|url| match upstream(url) {
        Ok(upstream) => Some(upstream),
        Err(message) => {
            flag_problem(document, "--upstream", message, Some(UPSTREAM_HINT));
            None
        }
    });
    if raw.is_empty() {
        if flagged.is_none() && overrides.upstream.is_none() {
            let hint = "add [[site]] with hosts = [\"*\"] and upstream = \"http://127.0.0.1:3000\", or pass --upstream";
            document.problem(None, "site".to_owned(), "no site is configured".to_owned(), Some(hint.to_owned()));
        }
        let hosts = vec![HostPattern::Any];
        let filter = filter(document, "", RawSite::default(), common, overrides);
        return vec![Site { name: "default".to_owned(), hosts, upstreams: flagged.into_iter().collect(), filter }];
    }
    if overrides.upstream.is_some() && raw.len() > 1 {
        let message = "needs a config with at most one site".to_owned();
        flag_problem(document, "--upstream", message, None);
    }
    let mut sites: Vec<Site> = Vec::new();
    for (index, raw) in raw.into_iter().enumerate() {
        let key = format!("site[{index}].");
        let at = place(&raw);
        let mut raw = raw.into_inner();
        let hosts = hosts(document, &key, raw.hosts.take(), &sites);
        let upstreams = match (&flagged, raw.upstream.take()) {
            (Some(flagged), _) => vec![flagged.clone()],
            (None, Some(listed)) => upstreams(document, &key, &listed),
            (None, None) => {
                document.missing(at, format!("{key}upstream"), "upstream = \"http://127.0.0.1:3000\"");
                Vec::new()
            }
        };
        let name = site_name(document, &key, raw.name.take(), &hosts, &sites);
        let filter = filter(document, &key, raw, common, overrides);
        sites.push(Site { name, hosts, upstreams, filter });
    }
    sites
}

fn site_name(
    document: Doc,
    key: &str,
    name: Option<Spanned<String>>,
    hosts: &[HostPattern],
    others: &[Site],
) -> String {
    let Some(name) = name else {
        return match hosts.first() {
            Some(HostPattern::Any) | None => "default".to_owned(),
            Some(host) => host.to_string(),
        };
    };
    let key = format!("{key}name");
    if name.get_ref().is_empty() || name.get_ref().len() > 64 {
        document.problem(Some(place(&name)), key, "a name has 1 to 64 octets".to_owned(), None);
    } else if others.iter().any(|site| site.name == *name.get_ref()) {
        document.problem(Some(place(&name)), key, "another site has this name".to_owned(), None);
    }
    name.into_inner()
}

fn hosts(
    document: Doc,
    key: &str,
    hosts: Option<Spanned<Vec<Spanned<String>>>>,
    others: &[Site],
) -> Vec<HostPattern> {
    let Some(hosts) = hosts else { return vec![HostPattern::Any] };
    if hosts.get_ref().is_empty() {
        let hint = Some("hosts = [\"*\"] serves every host".to_owned());
        document.problem(Some(place(&hosts)), format!("{key}hosts"), "is empty".to_owned(), hint);
    }
    let mut patterns = Vec::new();
    for (index, host) in hosts.into_inner().into_iter().enumerate() {
        let key = format!("{key}hosts[{index}]");
        let text = host.get_ref().to_ascii_lowercase();
        let plain = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']'))
        };
        let pattern = match text.strip_prefix('*') {
            Some("") => HostPattern::Any,
            Some(suffix) if suffix.starts_with('.') && plain(&suffix[1..]) => HostPattern::Below(suffix.to_owned()),
            None if plain(&text) => HostPattern::Exact(text),
            _ => {
                let message = format!("`{}` is not a host", host.get_ref());
                let hint = "\"shop.example.com\", \"*.example.com\" or \"*\"; no scheme, port or path";
                document.problem(Some(place(&host)), key, message, Some(hint.to_owned()));
                continue;
            }
        };
        if patterns.contains(&pattern) || others.iter().any(|site| site.hosts.contains(&pattern)) {
            let message = format!("`{}` is served by another site already", host.get_ref());
            document.problem(Some(place(&host)), key, message, None);
        }
        patterns.push(pattern);
    }
    patterns
}

const UPSTREAM_HINT: &str = "a URL such as \"http://127.0.0.1:3000\"";

fn upstreams(document: Doc, key: &str, listed: &Spanned<OneOrMore>) -> Vec<Upstream> {
    let OneOrMore(urls) = listed.get_ref();
    let key = format!("{key}upstream");
    if urls.is_empty() {
        document.problem(Some(place(listed)), key, "is empty".to_owned(), Some(UPSTREAM_HINT.to_owned()));
        return Vec::new();
    }
    let mut found = Vec::new();
    for url in urls {
        match upstream(url) {
            Ok(upstream) => found.push(upstream),
            Err(message) => {
                let hint = Some(UPSTREAM_HINT.to_owned());
                document.problem(Some(place(listed)), key.clone(), message, hint);
            }
        }
    }
    found
}

fn upstream(url: &str) -> Result<Upstream, String> {
    let uri: http::Uri = url.parse().map_err(|_| format!("`{url}` is not a URL"))?;
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => return Err(format!("`{url}`: TLS to upstreams is not supported yet")),
        _ => return Err(format!("`{url}` does not start with `http://`")),
    }
    if uri.path() != "/" || uri.query().is_some() {
        return Err(format!("`{url}` has a path; requests keep their own"));
    }
    let authority = uri.authority().ok_or_else(|| format!("`{url}` has no host"))?;
    if authority.as_str().contains('@') || authority.host().is_empty() {
        return Err(format!("`{url}` is not a plain host and port"));
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = match authority.as_str().rsplit_once(':') {
        Some((_, port)) if !port.ends_with(']') => port
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .ok_or_else(|| format!("`{port}` is not a port"))?,
        _ => 80,
    };
    Ok(Upstream { host, port })
}

fn filter(
    document: Doc,
    key: &str,
    raw: RawSite,
    common: &Common,
    overrides: &Overrides,
) -> FilterSettings {
    let reader = reader(document, key, raw.consent, common, overrides);
    let mut rules = common.rules.clone();
    rules.add(document, key, raw.cookie, raw.beacon, Tier::Site, &common.categories);
    for name in reader.sources.iter().flat_map(|source| source.cookie_names()) {
        if let Ok(pattern) = Pattern::new(&name) {
            let entry = Entry {
                category: Category::NECESSARY,
                vendor: Some(Arc::from("consent")),
                purpose: Some(Arc::from("Keeps the visitor's choice.")),
                lifetime: None,
            };
            rules.cookies.push(CookieRule { pattern, tier: Tier::Consent, entry });
        }
    }
    let unclassified = match raw.unclassified.or(common.unclassified) {
        Some(RawUnclassified::Allow) => Unclassified::Allow,
        Some(RawUnclassified::Block) | None => Unclassified::Block,
    };
    let catalogue = Catalogue::compile(rules.cookies, rules.beacons);
    FilterSettings {
        mode: overrides.mode.or(raw.mode).or(common.mode).unwrap_or(Mode::Enforce),
        policy: Arc::new(Policy { catalogue, unclassified, all: common.categories.all() }),
        reader: Arc::new(reader),
        expire: common.expire,
        detect: common.detect,
        technologies: common.technologies,
    }
}

fn reader(
    document: Doc,
    key: &str,
    site: RawConsent,
    common: &Common,
    overrides: &Overrides,
) -> ConsentReader {
    let own = |has: bool| if has { key } else { "" };
    let sources_key = format!("{}consent.sources", own(site.sources.is_some()));
    let listed = site.sources.or_else(|| common.consent.sources.clone());
    let mut found = Vec::new();
    let names: Vec<(Option<std::ops::Range<usize>>, String)> = match (&overrides.sources, &listed) {
        (Some(names), _) => names.iter().map(|name| (None, name.clone())).collect(),
        (None, Some(listed)) => {
            if listed.get_ref().is_empty() {
                let hint = Some(format!("the sources are {}", sources::NAMES.join(", ")));
                document.problem(Some(place(listed)), sources_key.clone(), "is empty".to_owned(), hint);
            }
            listed.get_ref().iter().map(|name| (Some(place(name)), name.get_ref().clone())).collect()
        }
        (None, None) => vec![(None, "consentry".to_owned())],
    };
    for (at, name) in names {
        match sources::find(&name) {
            Some(source) => found.push(source),
            None => {
                let hint = match nearest(&name, sources::NAMES.iter().copied()) {
                    Some(best) => format!("did you mean `{best}`?"),
                    None => format!("the sources are {}", sources::NAMES.join(", ")),
                };
                let message = format!("`{name}` is not a consent source");
                document.problem(at, sources_key.clone(), message, Some(hint));
            }
        }
    }
    let default = match site.default.or(common.consent.default) {
        Some(RawDefault::Allow) => common.categories.all(),
        Some(RawDefault::Deny) | None => CategorySet::NECESSARY,
    };
    let gpc_denies = match site.gpc.or(common.consent.gpc) {
        Some(RawSignal::Ignore) => CategorySet::EMPTY,
        Some(RawSignal::Deny) | None => [Category::TARGETING, Category::SOCIAL].into_iter().collect(),
    };
    let age_key = format!("{}consent.max_age_days", own(site.max_age_days.is_some()));
    let age = site.max_age_days.or_else(|| common.consent.max_age_days.clone());
    let date_key = format!("{}consent.notice_date", own(site.notice_date.is_some()));
    let date = site.notice_date.or_else(|| common.consent.notice_date.clone());
    ConsentReader {
        categories: common.categories.clone(),
        sources: found,
        default,
        max_age_days: bounded(document, &age_key, age, 1, 36_500, 182),
        notice_date: date
            .map_or_else(|| FIRST_NOTICE.ok(), |date| calendar_date(document, date_key, &date)),
        signals: SignalPolicy { gpc_denies },
    }
}

/// The date of the notice that consentry's categories come from.
const FIRST_NOTICE: Result<Date, time::error::ComponentRange> =
    Date::from_calendar_date(2018, Month::May, 25);

fn calendar_date(document: Doc, key: String, at: &Spanned<toml::value::Datetime>) -> Option<Date> {
    let date = at.get_ref().date.and_then(|date| {
        let month = Month::try_from(date.month).ok()?;
        Date::from_calendar_date(i32::from(date.year), month, date.day).ok()
    });
    if date.is_none() || at.get_ref().time.is_some() {
        let hint = Some("notice_date = 2018-05-25, without quotes or time".to_owned());
        document.problem(Some(place(at)), key, "is not a date".to_owned(), hint);
    }
    date
}

fn listen(document: Doc, raw: Option<Short<RawListen>>, overrides: &Overrides) -> Listen {
    let table = match raw {
        None => RawListen::default(),
        Some(Short::Table(table)) => table,
        Some(Short::Text(text)) => RawListen { http: Some(Spanned::new(0..0, text)), ..RawListen::default() },
    };
    let short = table.http.as_ref().is_some_and(|http| place(http) == (0..0));
    let http_key = if short { "listen" } else { "listen.http" };
    let http = address(document, ("--listen", &overrides.listen), http_key, table.http, "0.0.0.0:8080");
    let admin_off = overrides.admin.as_deref().or(table.admin.as_ref().map(|admin| admin.get_ref().as_str()));
    let admin = if admin_off == Some("off") {
        None
    } else {
        address(document, ("--admin", &overrides.admin), "listen.admin", table.admin, "127.0.0.1:9090")
    };
    let mut trusted_proxies = Vec::new();
    for (index, text) in table.trusted_proxies.iter().enumerate() {
        let parsed = text
            .get_ref()
            .parse()
            .or_else(|_| text.get_ref().parse::<std::net::IpAddr>().map(ipnet::IpNet::from));
        match parsed {
            Ok(net) => trusted_proxies.push(net),
            Err(_) => document.problem(
                Some(place(text)),
                format!("listen.trusted_proxies[{index}]"),
                format!("`{}` is not an address or a network", text.get_ref()),
                Some("\"10.0.0.0/8\" or \"192.0.2.7\"".to_owned()),
            ),
        }
    }
    let unspecified = SocketAddr::from(([0, 0, 0, 0], 8080));
    Listen { http: http.unwrap_or(unspecified), admin, trusted_proxies }
}

fn address(
    document: Doc,
    (flag, flagged): (&str, &Option<String>),
    key: &str,
    typed: Option<Spanned<String>>,
    default: &str,
) -> Option<SocketAddr> {
    let text = flagged.as_deref().or(typed.as_ref().map(|typed| typed.get_ref().as_str()));
    let text = text.unwrap_or(default);
    // `:8080` is short for every address, as in many other proxies.
    let full = if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.to_owned() };
    let full = full.replacen("localhost:", "127.0.0.1:", 1);
    let parsed = full.parse().ok();
    if parsed.is_none() {
        let message = format!("`{text}` is not an address with a port");
        let hint = format!("such as \"{default}\"");
        if flagged.is_some() {
            flag_problem(document, flag, message, Some(&hint));
        } else {
            let at = typed.as_ref().map(place).filter(|at| *at != (0..0));
            let at = at.or_else(|| document.text.find("listen").map(|at| at..at));
            document.problem(at, key.to_owned(), message, Some(hint));
        }
    }
    parsed
}

fn timeouts(document: Doc, raw: RawTimeouts) -> Timeouts {
    let mut duration = |name: &str, typed: Option<Spanned<String>>, default: u64| {
        let default = Duration::from_secs(default);
        let Some(typed) = typed else { return default };
        match humantime::parse_duration(typed.get_ref()) {
            Ok(duration) if duration >= Duration::from_millis(1) => duration,
            _ => {
                let message = format!("`{}` is not a duration", typed.get_ref());
                let hint = Some("a number above 0 with a unit: \"500ms\", \"5s\", \"2m\"".to_owned());
                document.problem(Some(place(&typed)), format!("timeouts.{name}"), message, hint);
                default
            }
        }
    };
    Timeouts {
        connect: duration("connect", raw.connect, 5),
        request_head: duration("request_head", raw.request_head, 10),
        idle: duration("idle", raw.idle, 60),
        first_byte: duration("first_byte", raw.first_byte, 60),
        upstream_idle: duration("upstream_idle", raw.upstream_idle, 30),
        drain: duration("drain", raw.drain, 30),
    }
}

fn limits(document: Doc, raw: RawLimits) -> Limits {
    Limits {
        header_bytes: bounded(document, "limits.header_bytes", raw.header_bytes, 8192, 1 << 20, 65_536),
        header_fields: bounded(document, "limits.header_fields", raw.header_fields, 8, 4096, 128),
        idle_upstream_connections: bounded(
            document,
            "limits.idle_upstream_connections",
            raw.idle_upstream_connections,
            0,
            65_536,
            256,
        ),
    }
}

fn bounded<N: TryFrom<u32> + Default>(
    document: Doc,
    key: &str,
    typed: Option<Spanned<u32>>,
    least: u32,
    most: u32,
    default: u32,
) -> N {
    let mut value = default;
    if let Some(typed) = typed {
        if (least..=most).contains(typed.get_ref()) {
            value = *typed.get_ref();
        } else {
            let message = format!("{} is not from {least} to {most}", typed.get_ref());
            document.problem(Some(place(&typed)), key.to_owned(), message, None);
        }
    }
    N::try_from(value).unwrap_or_default()
}

fn flag_problem(document: Doc, flag: &str, message: String, hint: Option<&str>) {
    document.problems.push(Problem {
        file: "command line".to_owned(),
        line: None,
        key: flag.to_owned(),
        message,
        hint: hint.map(str::to_owned),
    });
}
