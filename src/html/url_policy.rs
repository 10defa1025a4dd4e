//! Decides which URLs of a page are blocked. URLs are parsed as in browsers (URL Standard):
//! decoded, without tabs and newlines, resolved against the page's base, and with an ASCII host.

use std::sync::{Arc, LazyLock, OnceLock};

use percent_encoding::percent_decode_str;
use url::{Host, Url};

use super::loads::Resource;
use crate::clock::unix_now;
use crate::consent::CategorySet;
use crate::filter::{BlockedKind, Filter};
use crate::http::split_refresh;
use crate::policy::permits;

/// The URL of a page with an invalid host.
#[expect(clippy::expect_used, reason = "it is a valid URL")]
static UNKNOWN: LazyLock<Url> = LazyLock::new(|| Url::parse("https://invalid/").expect("a URL"));

/// The URL policy of one page, for one visitor's consent.
#[derive(Debug, Clone)]
pub(super) struct UrlPolicy {
    filter: Arc<Filter>,
    granted: CategorySet,
    /// The page's scheme, its host with its port, and its path.
    scheme: &'static str,
    host: String,
    path: String,
    /// The page's URL. Always HTTPS: rules only match hosts.
    page: OnceLock<Url>,
    /// The base of relative URLs without a `<base>`, if it differs from the page's URL.
    fallback: Option<Url>,
    base: Option<Url>,
    /// The base has another origin than the page.
    moved: bool,
}

impl UrlPolicy {
    pub(super) fn new(
        filter: Arc<Filter>,
        granted: CategorySet,
        (scheme, host): (&'static str, String),
        path: String,
    ) -> Self {
        let page = OnceLock::new();
        Self { filter, granted, scheme, host, path, page, fallback: None, base: None, moved: false }
    }

    /// The policy for a page in an attribute of this page.
    pub(super) fn nested(&self) -> Self {
        Self { fallback: Some(self.base().clone()), base: None, ..self.clone() }
    }

    /// The page's origin, if paths resolve to another one because of a `<base href>`.
    pub(super) fn origin_beside_base(&self) -> Option<String> {
        self.moved.then(|| format!("{}://{}", self.scheme, self.host))
    }

    fn page(&self) -> &Url {
        self.page.get_or_init(|| {
            let page = Url::parse(&format!("https://{}", self.host));
            let page = page.and_then(|page| page.join(&self.path));
            page.unwrap_or_else(|_| UNKNOWN.clone())
        })
    }

    fn fallback(&self) -> &Url {
        self.fallback.as_ref().unwrap_or_else(|| self.page())
    }

    fn base(&self) -> &Url {
        self.base.as_ref().unwrap_or_else(|| self.fallback())
    }

    /// Whether relative URLs resolve to another host or port than the page's.
    pub(super) fn has_foreign_base(&self) -> bool {
        let own = self.base.is_none() && self.fallback.is_none();
        let authority = |url: &Url| (url.host_str().map(str::to_owned), url.port());
        !own && authority(self.base()) != authority(self.page())
    }

    /// Sets the base of relative URLs from a `<base href>`. The first one wins.
    pub(super) fn set_base(&mut self, href: &str) {
        if let Ok(base) = self.fallback().join(href)
            && self.base.is_none()
            && !matches!(base.scheme(), "data" | "javascript")
        {
            let page = Url::parse(&format!("{}://{}", self.scheme, self.host));
            let joined = page.as_ref().ok().and_then(|page| page.join(href).ok());
            self.moved = page.ok().map(|url| url.origin()) != joined.map(|url| url.origin());
            self.base = Some(base);
        }
    }

    /// Whether a URL has a host that the visitor's consent does not allow.
    pub(super) fn refuses(&self, url: &str, resource: Resource) -> bool {
        if !self.has_foreign_base() && is_plainly_local(url) {
            return false;
        }
        self.refuses_from(self.base(), url, resource)
    }

    /// Whether a `<base href>` has such a host.
    pub(super) fn refuses_base(&self, href: &str) -> bool {
        self.refuses_from(self.fallback(), href, Resource::Other)
    }

    /// Whether a `<meta http-equiv=refresh>` or a `Refresh` field has such a host.
    pub(super) fn refuses_refresh(&self, content: &str) -> bool {
        split_refresh(content).is_some_and(|(_, url)| self.refuses(url, Resource::Subdocument))
    }

    fn refuses_from(&self, base: &Url, url: &str, resource: Resource) -> bool {
        let url = &trimmed(url);
        // The library rejects more than two slashes.
        let slashes = |letter: char| matches!(letter, '/' | '\\');
        let resolved = if url.chars().take_while(|letter| slashes(*letter)).count() > 2 {
            base.join(&format!("//{}", url.trim_start_matches(slashes)))
        } else {
            base.join(url)
        };
        // `https:host` is a path if the base is HTTPS. The scheme of the page depends on the
        // proxies in front, so both parses are checked.
        let absolute = || Url::parse(url).ok().or_else(|| by_labels(url));
        resolved.is_ok_and(|url| self.refuses_url(&url, resource))
            || absolute().is_some_and(|url| self.refuses_url(&url, resource))
    }

    fn refuses_url(&self, url: &Url, resource: Resource) -> bool {
        let (Some(host), Some(own)) = (url.host_str(), self.page().host_str()) else {
            return false;
        };
        if host == own || !matches!(url.scheme(), "http" | "https") {
            return false;
        }
        let catalogue = &self.filter.settings().policy.catalogue;
        let entry = catalogue.third_party(host, own, url.as_str(), resource.name());
        let refused = entry.is_some_and(|entry| !permits(self.granted, entry.category));
        if refused {
            self.filter.inventory().record_blocked(BlockedKind::Host, host, unix_now());
        }
        refused
    }
}

/// A URL whose host the library rejects. Browsers accept more hosts, such as invalid Punycode or
/// characters of a newer Unicode version, so each label is parsed separately.
fn by_labels(url: &str) -> Option<Url> {
    const DOTS: [char; 4] = ['.', '\u{3002}', '\u{ff0e}', '\u{ff61}'];
    let scheme = url.split_once(':').filter(|(scheme, _)| {
        scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http")
    });
    let slashes = |letter: char| matches!(letter, '/' | '\\');
    let after_scheme = scheme.map_or(url, |(_, rest)| rest);
    let rest = after_scheme.trim_start_matches(slashes);
    if scheme.is_none() && after_scheme.len() - rest.len() < 2 {
        return None;
    }
    let end = rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end)?;
    let host = authority.rsplit('@').next()?.split(':').next()?;
    let host = percent_decode_str(host).decode_utf8_lossy();
    let label = |label: &str| match Host::parse(label) {
        Ok(Host::Domain(label)) => label,
        _ => "x".to_owned(),
    };
    let labels: Vec<String> = host.trim_end_matches(DOTS).split(DOTS).map(label).collect();
    Url::parse(&format!("https://{}{path}", labels.join("."))).ok()
}

/// A URL without tabs and newlines, and without blanks and control characters at its ends, which the
/// URL parser of a browser removes first.
pub(super) fn trimmed(url: &str) -> String {
    let url = url.trim_matches(|letter: char| letter <= ' ');
    url.chars().filter(|letter| !matches!(letter, '\t' | '\n' | '\r')).collect()
}

/// Whether a URL is certainly a path on its base's host, as most URLs are.
fn is_plainly_local(url: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\' && byte != b':';
    url.bytes().all(plain) && !url.starts_with("//")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::testing::policy;

    #[test]
    fn hosts_are_parsed_like_browsers_parse_them() {
        let mut policy = policy();
        for (url, refused) in [
            ("https://www.google-analytics.com/a", true),
            ("//WWW.Google-Analytics.com", true),
            ("///www.google-analytics.com", true),
            ("\\\\www.google-analytics.com", true),
            ("/\\/www.google-analytics.com", true),
            ("https:www.google-analytics.com", true),
            ("https:/www.google-analytics.com", true),
            ("http:\\www.google-analytics.com", true),
            ("ht\ttps:/\n/www.google-\ranalytics.com/", true),
            ("\u{1} https://www.google-analytics.com", true),
            ("https://www.google-analytics.com.:443/", true),
            ("https://a:b@www.google-analytics.com", true),
            ("https://a@b@www.google-analytics.com", true),
            ("https://www.google%2Danalytics%2ecom", true),
            ("https://www\u{3002}google-analytics\u{ff0e}com", true),
            ("https://www.g\u{ad}oogle\u{200b}-analytic\u{24e2}.com", true),
            ("https://www%EF%BC%8Egoogle-analytics.com", true),
            // Hosts that only browsers accept.
            ("https://xn--a.google-analytics.com/", true),
            ("//%78n--a.g%6fogle-analytics.com./", true),
            ("https:xn--a.google-analytics.com:443?a", true),
            ("https://a@xn--a\u{3002}\u{ff47}oogle-analytics.com", true),
            ("https://a\u{200d}b.google-analytics.com/", true),
            ("https://\u{378}.google-analytics.com/", true),
            ("https://xn--a.cdn.example/", false),
            ("/xn--a.google-analytics.com/", false),
            ("https://xn--a.example/?https://www.google-analytics.com/", false),
            ("https://www.google-analytics.com@cdn.example/", false),
            ("https://cdn.example/https://www.google-analytics.com/", false),
            ("/https://www.google-analytics.com/", false),
            ("?//www.google-analytics.com/", false),
            ("mailto:a@www.google-analytics.com", false),
            ("data:,https://www.google-analytics.com", false),
            ("https://", false),
            ("", false),
            ("a.js", false),
        ] {
            assert_eq!(policy.refuses(url, Resource::Image), refused, "{url:?}");
        }
        policy.set_base("https://www.google-analytics.com/x/");
        policy.set_base("https://cdn.example/");
        assert!(policy.has_foreign_base() && policy.refuses("a.js", Resource::Script));
        assert!(policy.nested().refuses("a.js", Resource::Script));
        assert!(!policy.refuses("https://shop.example/a.js", Resource::Script));
    }
}
