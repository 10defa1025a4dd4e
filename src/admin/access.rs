//! Access control of the admin listener: rejects pages of other sites (DNS rebinding, cross-site requests), and
//! checks the token if one is configured.

use std::net::Ipv4Addr;

use http::HeaderMap;
use http::header::{HOST, ORIGIN};

use super::token;
use crate::config::settings::{AdminToken, Listen};
use crate::http::{Authority, is_named_origin, normalised_host};

/// Access rules of the admin listener.
#[derive(Debug, Default)]
pub(crate) struct AdminAccess {
    /// The required token, if any.
    pub token: Option<AdminToken>,
    /// Allowed host names besides IP addresses and `localhost`, in lower case.
    pub hosts: Vec<String>,
}

/// Why a request is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// The host name is not allowed: another site may have made it resolve to this machine.
    Host,
    /// The request comes from a page of another site.
    Origin,
    /// The token is missing or wrong.
    Token,
}

impl AdminAccess {
    /// The access rules of the listener settings.
    pub(crate) fn of(listen: &Listen) -> Self {
        Self { token: listen.admin_token.clone(), hosts: listen.admin_hosts.clone() }
    }

    /// Checks a request. `by_network` is `false` on a Unix socket, which no browser can use.
    pub(super) fn check(&self, headers: &HeaderMap, by_network: bool) -> Result<(), Denied> {
        // Browsers send a token only to the origin that asked for it, so a rebound name never gets the token.
        if by_network && self.token.is_none() && !self.allows_host(headers) {
            return Err(Denied::Host);
        }
        if headers.get_all(ORIGIN).iter().any(|origin| !is_named_origin(origin.as_bytes(), headers))
        {
            return Err(Denied::Origin);
        }
        match &self.token {
            Some(token) if !token::is_authorized(token, headers) => Err(Denied::Token),
            _ => Ok(()),
        }
    }

    /// Whether `Host` is an IP address, which no DNS answer changes, or an allowed name. A client without `Host` is
    /// not a browser.
    fn allows_host(&self, headers: &HeaderMap) -> bool {
        let mut hosts = headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return !headers.contains_key(HOST);
        };
        let Some(Authority { host, .. }) = Authority::parse(host.as_bytes()) else { return false };
        let host = normalised_host(host);
        host.starts_with('[')
            || host.parse::<Ipv4Addr>().is_ok()
            || host == "localhost"
            || host.ends_with(".localhost")
            || self.hosts.iter().any(|allowed| *allowed == *host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn check(access: &AdminAccess, fields: &[(&'static str, &'static str)]) -> Result<(), Denied> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        access.check(&headers, true)
    }

    #[test]
    fn host_names_open_to_dns_rebinding_are_rejected() {
        let access =
            AdminAccess { hosts: vec!["consentry.svc".to_owned()], ..AdminAccess::default() };
        for host in [
            "127.0.0.1:9090",
            "10.1.2.3",
            "[::1]:9090",
            "localhost",
            "LOCALHOST:9090",
            "localhost.",
            "admin.localhost",
            "consentry.svc:9090",
            "Consentry.SVC",
        ] {
            assert_eq!(check(&access, &[("host", host)]), Ok(()), "{host}");
        }
        assert_eq!(check(&access, &[]), Ok(()), "HTTP/1.0");
        for host in [
            "evil.example:9090",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "a.consentry.svc",
            "evillocalhost",
            "",
            "127.0.0.1, evil.example",
        ] {
            assert_eq!(check(&access, &[("host", host)]), Err(Denied::Host), "{host}");
        }
        let two = [("host", "127.0.0.1"), ("host", "evil.example")];
        assert_eq!(check(&access, &two), Err(Denied::Host));
        let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static("evil.example"))]);
        assert_eq!(
            access.check(&headers, false),
            Ok(()),
            "no browser uses a socket of the machine"
        );
    }

    #[test]
    fn cross_origin_requests_are_rejected() {
        let access = AdminAccess::default();
        for (origin, expected) in [
            ("http://127.0.0.1:9090", Ok(())),
            ("https://127.0.0.1:9090", Ok(())),
            ("http://127.0.0.1", Err(Denied::Origin)),
            ("http://127.0.0.1:8080", Err(Denied::Origin)),
            ("http://evil.example", Err(Denied::Origin)),
            ("http://evil.example:9090", Err(Denied::Origin)),
            ("null", Err(Denied::Origin)),
            ("", Err(Denied::Origin)),
        ] {
            let fields = [("host", "127.0.0.1:9090"), ("origin", origin)];
            assert_eq!(check(&access, &fields), expected, "{origin}");
        }
    }

    #[test]
    fn with_a_token_any_host_is_accepted_but_the_token_is_required() {
        let token = Some(AdminToken("0123456789abcdef".to_owned()));
        let access = AdminAccess { token, ..AdminAccess::default() };
        let authorization = ("authorization", "Bearer 0123456789abcdef");
        assert_eq!(check(&access, &[("host", "metrics.example"), authorization]), Ok(()));
        assert_eq!(check(&access, &[("host", "127.0.0.1")]), Err(Denied::Token));
        let foreign =
            [("host", "metrics.example"), ("origin", "http://evil.example"), authorization];
        assert_eq!(check(&access, &foreign), Err(Denied::Origin));
    }
}
