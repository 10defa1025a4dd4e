//! `Set-Cookie` lines of the native consent cookie (RFC 6265bis section 4.1).

use std::sync::Arc;

use ::cookie::time::Duration;
use ::cookie::{Cookie, CookieBuilder, SameSite};
use http::HeaderValue;

use super::CookieKeys;
use super::sources::Native;
use crate::cookie::{cookie_domains, domain_matches};

/// Maximum lifetime of a cookie in browsers, in days (RFC 6265bis section 5.7).
pub const MAX_LIFETIME_DAYS: u32 = 400;

/// Domain and signing keys of a site's native cookie.
#[derive(Debug, Clone, Default)]
pub struct OwnCookie {
    /// The `Domain` attribute. `None` for a host-only cookie.
    pub domain: Option<String>,
    /// The signing keys.
    pub keys: Option<Arc<CookieKeys>>,
}

impl OwnCookie {
    /// The `Set-Cookie` values that store a value in the browser of a visitor of `host` (lower
    /// case, without port). They also delete the copies that the site wrote under another domain.
    /// If the browser `sent` no copy, parent domains need no deletion.
    pub fn set_cookies(
        &self,
        value: &str,
        lifetime_days: u32,
        (host, secure): (&str, bool),
        sent: bool,
    ) -> Vec<HeaderValue> {
        let domain = self.domain_for(host);
        let scopes = std::iter::once(None).chain(cookie_domains(host).map(Some));
        let scopes = scopes.filter(|scope| sent || scope.is_none() || *scope == domain);
        let lines = scopes.map(|scope| match scope == domain {
            true => self.set_cookie(value, lifetime_days, host, secure),
            false => line(Cookie::new(Native::COOKIE, ""), Duration::ZERO, scope, secure),
        });
        lines.flatten().collect()
    }

    /// The `Set-Cookie` value that stores a value in the browser of a visitor of `host`.
    ///
    /// The cookie is `HttpOnly`: scripts do not need it and must not overwrite it.
    pub fn set_cookie(
        &self,
        value: &str,
        lifetime_days: u32,
        host: &str,
        secure: bool,
    ) -> Option<HeaderValue> {
        let cookie =
            Cookie::build((Native::COOKIE, value)).same_site(SameSite::Lax).http_only(true);
        let lifetime = Duration::days(lifetime_days.into());
        line(cookie.build(), lifetime, self.domain_for(host), secure)
    }

    /// The `Domain` for a host. Browsers reject a `Domain` that does not cover the host.
    fn domain_for(&self, host: &str) -> Option<&str> {
        let domain = self.domain.as_deref();
        domain.filter(|domain| domain_matches(host.as_bytes(), domain.as_bytes()))
    }
}

fn line<'c>(
    cookie: Cookie<'c>,
    lifetime: Duration,
    domain: Option<&'c str>,
    secure: bool,
) -> Option<HeaderValue> {
    let mut line = CookieBuilder::from(cookie).path("/").max_age(lifetime).secure(secure);
    if let Some(domain) = domain {
        line = line.domain(domain);
    }
    HeaderValue::try_from(line.build().to_string()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(domain: Option<&str>, host: &str, secure: bool) -> Vec<String> {
        lines_after(true, domain, host, secure)
    }

    fn lines_after(sent: bool, domain: Option<&str>, host: &str, secure: bool) -> Vec<String> {
        let own = OwnCookie { domain: domain.map(str::to_owned), keys: None };
        let lines = own.set_cookies("v", 182, (host, secure), sent);
        lines.iter().map(|line| line.to_str().expect("ASCII").to_owned()).collect()
    }

    #[test]
    fn each_write_deletes_every_other_copy_that_the_host_can_receive() {
        let gone = |domain: &str| format!("consentry=; Secure; Path=/; {domain}Max-Age=0");
        let kept = |domain: &str| {
            format!("consentry=v; HttpOnly; SameSite=Lax; Secure; Path=/; {domain}Max-Age=15724800")
        };
        let (shop, example) = ("Domain=shop.example.com; ", "Domain=example.com; ");
        let host = "shop.example.com";
        assert_eq!(lines(None, host, true), [kept(""), gone(shop), gone(example)]);
        assert_eq!(lines(Some("example.com"), host, true), [gone(""), gone(shop), kept(example)]);
        assert_eq!(lines(Some(host), host, true), [gone(""), kept(shop), gone(example)]);
        assert_eq!(
            lines(Some("example.org"), "example.com", true),
            [kept(""), gone(example)],
            "a domain that the host is not in"
        );
        assert_eq!(lines_after(false, None, host, true), [kept("")]);
        assert_eq!(lines_after(false, Some("example.com"), host, true), [gone(""), kept(example)]);
        for host in ["localhost", "127.0.0.1", "[::1]", ""] {
            assert_eq!(lines(Some("example.com"), host, true), [kept("")], "{host}");
        }
        assert!(lines(None, "localhost", false).iter().all(|line| !line.contains("Secure")));
    }
}
