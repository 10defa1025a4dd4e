//! Rewrites response URLs that point to the upstream.
//!
//! A browser that followed such a URL would bypass this proxy, so the requested host replaces the
//! upstream's.
//!
//! Pure: no I/O. Called by `forward` for each response head.

use std::borrow::Cow;

use http::header::{CONTENT_LOCATION, HeaderName, LINK, LOCATION, REFRESH};
use url::{Host, Position, Url};

use crate::config::settings::{Scheme, Upstream};
use crate::http::{Change, FieldSection, Fields, links, split_link, split_refresh};

/// An earlier form of `Location` (RFC 2068 section 19.6.2.5).
const URI: HeaderName = HeaderName::from_static("uri");

/// The client-side origin of the request.
#[derive(Debug)]
pub(crate) struct ClientOrigin {
    /// The client side uses HTTPS.
    pub(crate) secure: bool,
    /// The value of `Host`.
    pub(crate) host: Option<Box<[u8]>>,
}

/// Rewrites upstream URLs in `Location`, `Content-Location`, `Refresh`, `Link` and `URI`.
pub(crate) fn rewrite<'a>(
    fields: &mut FieldSection,
    visited: &ClientOrigin,
    upstreams: impl Iterator<Item = &'a Upstream> + Clone,
) {
    let has_url = [LOCATION, CONTENT_LOCATION, REFRESH, LINK, URI];
    if !fields.names().any(|name| has_url.iter().any(|known| known == name)) {
        return;
    }
    let Some(visited) = visited.url() else { return };
    let rewrite = |url: &str| rewritten(url, &visited, upstreams.clone());
    for name in has_url {
        fields.change(&name, |value| {
            let text = String::from_utf8_lossy(value);
            let changed = match name {
                LINK => in_links(&text, rewrite),
                REFRESH => in_refresh(&text, rewrite),
                _ => rewrite(&text),
            };
            changed.map_or(Change::Keep, |text| Change::Set(text.into()))
        });
    }
}

impl ClientOrigin {
    fn url(&self) -> Option<Url> {
        let scheme = if self.secure { "https" } else { "http" };
        Url::parse(&format!("{scheme}://{}/", std::str::from_utf8(self.host.as_ref()?).ok()?)).ok()
    }
}

/// Translates an upstream URL to the client side; `None` for other URLs.
fn rewritten<'a>(
    text: &str,
    visited: &Url,
    mut upstreams: impl Iterator<Item = &'a Upstream>,
) -> Option<String> {
    let url = visited.join(text).ok()?;
    if url[..Position::BeforePath] == visited[..Position::BeforePath] {
        return None;
    }
    let upstream = upstreams.find(|upstream| is_at(&url, upstream))?;
    let mut target = visited.clone();
    let same_scheme = upstream.is_tls() == (url.scheme() == "https");
    if !same_scheme && url.scheme() != visited.scheme() {
        // The upstream redirects to the other scheme, on its default port.
        target.set_port(None).ok()?;
        target.set_scheme(url.scheme()).ok()?;
    }
    Some(format!("{}{}", &target[..Position::BeforePath], &url[Position::BeforePath..]))
}

/// Whether a URL has an upstream's host and port. The default port of the other scheme matches too.
fn is_at(url: &Url, upstream: &Upstream) -> bool {
    let Upstream::Tcp { host, port, scheme } = upstream else { return false };
    let (Some(named), Some(named_port)) = (url.host(), url.port_or_known_default()) else {
        return false;
    };
    let default = |port: u16| matches!(port, 80 | 443);
    let same_port =
        named_port == *port || (default(named_port) && default(*port) && *scheme != Scheme::H2c);
    let own = Host::parse(&if host.contains(':') { format!("[{host}]") } else { host.clone() });
    same_port
        && own.is_ok_and(|own| own == named.to_owned() || is_loopback(&own) && is_loopback(&named))
}

/// Whether a host is a loopback name or address.
fn is_loopback<S: AsRef<str>>(host: &Host<S>) -> bool {
    match host {
        Host::Domain(name) => name.as_ref().eq_ignore_ascii_case("localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

/// Rewrites the targets of a `Link` field; `None` if unchanged.
fn in_links(field: &str, rewrite: impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut changed = false;
    let link = |link| {
        let (target, parameters) = split_link(link)?;
        Some(format!("<{}>{parameters}", rewrite(target)?))
    };
    let links: Vec<Cow<'_, str>> = links(field)
        .map(|old| {
            let new = link(old);
            changed |= new.is_some();
            new.map_or(Cow::Borrowed(old), Cow::Owned)
        })
        .collect();
    changed.then(|| links.join(", "))
}

/// Rewrites the URL of a `Refresh` field; `None` if unchanged.
fn in_refresh(field: &str, rewrite: impl Fn(&str) -> Option<String>) -> Option<String> {
    let (before, url) = split_refresh(field)?;
    Some(format!("{before}{}", rewrite(url)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(scheme: Scheme, host: &str, port: u16) -> Upstream {
        Upstream::Tcp { scheme, host: host.to_owned(), port }
    }

    fn after(
        secure: bool,
        host: &'static str,
        (name, value): (&'static str, &'static str),
        upstreams: &[Upstream],
    ) -> String {
        let mut fields = FieldSection::from_lines(&[(name, value)]);
        let visited = ClientOrigin { secure, host: Some(host.as_bytes().into()) };
        rewrite(&mut fields, &visited, upstreams.iter());
        fields.texts(name).remove(0)
    }

    #[test]
    fn redirects_to_an_upstream_are_rewritten_to_the_requested_host() {
        let app = upstream(Scheme::Http, "app.internal", 3000);
        let plain = upstream(Scheme::Http, "10.0.0.5", 80);
        let tls = upstream(Scheme::Https, "origin.example", 443);
        let local = upstream(Scheme::Http, "127.0.0.1", 8000);
        let six = upstream(Scheme::H2c, "::1", 9000);
        let all = [app, plain, tls, local, six];
        for (secure, location, expected) in [
            (false, "http://app.internal:3000/a?b=c#d", "http://shop.example:8080/a?b=c#d"),
            (true, "http://app.internal:3000/a", "https://shop.example:8080/a"),
            (true, "HTTP:\\\\APP.internal:3000\\a", "https://shop.example:8080/a"),
            (false, "//app.internal:3000//evil.example", "http://shop.example:8080//evil.example"),
            (false, "http://user@app.internal:3000", "http://shop.example:8080/"),
            (false, "http://10.0.0.5/x", "http://shop.example:8080/x"),
            (false, "https://10.0.0.5/x", "https://shop.example/x"),
            (true, "https://10.0.0.5/x", "https://shop.example:8080/x"),
            (false, "https://origin.example/x", "http://shop.example:8080/x"),
            (true, "http://localhost:8000/x", "https://shop.example:8080/x"),
            (true, "http://[::1]:9000/x", "https://shop.example:8080/x"),
        ] {
            for name in ["location", "content-location", "uri"] {
                let after = after(secure, "shop.example:8080", (name, location), &all);
                assert_eq!(after, expected, "{name}: {location}");
            }
        }
        for location in [
            "/a",
            "a?b",
            "http://app.internal/a",
            "http://app.internal:3001/a",
            "http://app.internal.evil.example:3000/",
            "https://login.example/?next=http://app.internal:3000/",
            "http://shop.example:8080/a",
            "mailto:a@app.internal",
            "http://",
            "",
        ] {
            let after = after(true, "shop.example:8080", ("location", location), &all);
            assert_eq!(after, location);
        }
    }

    #[test]
    fn link_and_refresh_urls_are_rewritten_in_place() {
        let app = [upstream(Scheme::Http, "app.internal", 3000)];
        let of = |name, value| after(true, "shop.example", (name, value), &app);
        for (before, expected) in [
            (
                "<http://app.internal:3000/a.css>; rel=preload; title=\"<http://app.internal:3000/>\\\"\", </b>; rel=x, <http://app.internal:3000/c>",
                "<https://shop.example/a.css>; rel=preload; title=\"<http://app.internal:3000/>\\\"\", </b>; rel=x, <https://shop.example/c>",
            ),
            (
                "<https://cdn.example/a.css>; rel=preload",
                "<https://cdn.example/a.css>; rel=preload",
            ),
            ("<http://app.internal:3000/a", "<http://app.internal:3000/a"),
        ] {
            assert_eq!(of("link", before), expected);
        }
        for (before, expected) in [
            ("5; url=http://app.internal:3000/a", "5; url=https://shop.example/a"),
            ("0;URL='http://app.internal:3000/a'", "0;URL=https://shop.example/a"),
            ("1.5, http://app.internal:3000/a", "1.5, https://shop.example/a"),
            ("5", "5"),
            ("5; url=/a", "5; url=/a"),
            ("", ""),
        ] {
            assert_eq!(of("refresh", before), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_origin_fields_never_panic(
            value in "([ -~]{0,60}|[ -~]{0,4}<?(5; ?url=)?['\"]?http://app[.]internal:3000[ -~]{0,20})",
        ) {
            let app = [upstream(Scheme::Http, "app.internal", 3000)];
            for name in [LOCATION, LINK, REFRESH] {
                let mut fields = FieldSection::from_lines(&[(name.as_str(), &value)]);
                let host = Some(b"shop.example"[..].into());
                rewrite(&mut fields, &ClientOrigin { secure: true, host }, app.iter());
                proptest::prop_assert_eq!(fields.count(), 1);
            }
        }
    }
}
